"""What makes the machine ready, before and after any daemon."""
