"""The Kafka runtime: one transactional task for each partition a worker owns."""
