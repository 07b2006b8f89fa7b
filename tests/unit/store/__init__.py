"""The store over RocksDB: what the contract suite of stores cannot ask of every adapter."""
