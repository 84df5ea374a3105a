"""Frontends, and what generates them from the protos."""
