"""Scenarios: the semantics as plain text, each with the row it proves (see README.md)."""
