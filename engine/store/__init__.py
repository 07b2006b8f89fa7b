"""The store of a partition's state: its port, and the adapters behind it."""
