"""The decision, one part at a time."""
