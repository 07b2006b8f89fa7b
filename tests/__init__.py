"""The tests. A package, so that the model and the fakes in it can be imported."""
