"""The cluster shell: Faust says which partitions are this worker's, and nothing else of it touches money (ADR 17)."""
