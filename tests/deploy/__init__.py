"""What is given to whoever runs the product: it is read here as they would use it, without an engine for containers."""
