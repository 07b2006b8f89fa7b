"""The embedded runtime, run inside the test."""
