"""Benchmarks: one file a question; ``make bench`` runs them and prints hardware and versions with every figure."""
