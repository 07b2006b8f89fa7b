"""The sample traffic."""
