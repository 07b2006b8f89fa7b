"""The Kafka runtime against a real broker."""
