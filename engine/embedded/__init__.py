"""The embedded runtime: the whole product in one process over one RocksDB."""
