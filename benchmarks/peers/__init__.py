"""Other stream processors doing the same charge work, to stand beside the engine in one run."""
