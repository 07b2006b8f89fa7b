"""The decision: a function of the state and a record. No clock, chance, waiting, log or storage."""
