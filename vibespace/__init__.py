"""vibespace: a computer of its own for every coding agent."""

__version__ = "0.1.0"
