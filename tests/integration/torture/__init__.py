"""Real workers on a real broker, killed, frozen, wiped; what is left is held against a replay of the log."""
