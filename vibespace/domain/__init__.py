"""What is true: aggregates, their events, and pure rules."""
