"""The parts of the notifiers, each on its own."""
