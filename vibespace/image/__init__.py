"""Package data: all that the agents' image is built from."""
