"""Read models, the HTTP API and the console, fed by what the engine says."""
