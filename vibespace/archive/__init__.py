"""Files and folders as a stream of bytes, and back. Runs at both ends of a copy: here, and inside (net/files.py)."""
