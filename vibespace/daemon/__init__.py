"""What answers the wire."""
