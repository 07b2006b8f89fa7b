"""The whole product in one process, on a store, a clock, a network and a scheduler that a seed decides."""
