"""What speaks with agent programs: parse and encode, no I/O."""
