"""The reference model: a slow, obvious, independent reading of the semantics, used as the oracle in tests."""
