"""One partition: an overlay over a store, batches, the commit order and recovery."""
