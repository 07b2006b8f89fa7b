"""Sample traffic: a small telecom operator that can be watched, and a source of events for benchmarks."""
