"""Call records to events."""
