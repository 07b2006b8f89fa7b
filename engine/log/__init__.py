"""The log: its port, and the adapters behind it."""
