"""vibespace: a computer of its own for every coding agent."""
