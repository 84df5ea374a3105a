"""Commands that stream, use the terminal, or work on this machine."""
