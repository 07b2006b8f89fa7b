"""The real processes, killed over and over; what they left behind is held against a replay of their own log."""
