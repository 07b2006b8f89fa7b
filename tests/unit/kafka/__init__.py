"""The parts of the Kafka runtime that need no broker."""
