"""What may be asked, and the log it is written to."""
