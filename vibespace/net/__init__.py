"""What reaches in."""
