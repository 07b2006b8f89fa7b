"""The engine: a pure core, a partition around it, and two runtimes, embedded and Kafka."""
