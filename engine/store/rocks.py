"""RocksDB through rocksdict, raw mode: the options, and why they are what they are (``benchmarks/README.md``)."""

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from weakref import WeakSet

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    ColumnFamily,
    DBCompressionType,
    DBRecoveryMode,
    MemtableFactory,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    SliceTransform,
    WriteBatch,
)

from engine.store.ports import LOG, STATE, Batch, StoreDamaged, StoreError

_MEMTABLE_BYTES: Final = 4 * 1024 * 1024  # a larger skip list misses the processor's cache at every key
_MEMTABLES_MAX: Final = 4
_BLOOM_BITS: Final = 10
_METADATA_BYTES: Final = 16 * 1024  # of a filter's or index's piece: larger is faster in the cache, slower into it
_MEMTABLE_BLOOM_RATIO: Final = 0.2  # of a memtable: most look-ups are for identities that are not there
_BUCKET_BYTES: Final = 2  # of an identity, itself a hash: its memtable is a hash table, cheaper than a skip list
_BUCKETS: Final = 256**_BUCKET_BYTES
# By default four files of 2 MB are merged into a first level of up to 256 MB, again and again: an identity's bytes are
# written up to 30 times there. Twice the files into a quarter of the level is an eighth of that, and look-ups are few.
_SEEN_FILES_MERGED: Final = 8
_SEEN_LEVEL_BYTES: Final = 64 * 1024 * 1024
_LOG_MEMTABLE_BYTES: Final = 16 * 1024 * 1024  # its values are whole record batches: few keys, much data
_WAL_BYTES_MAX: Final = 256 * 1024 * 1024
_OPEN_FILES_MAX: Final = 512
_INFO_LOGS_MAX: Final = 3
_DAMAGED: Final = "is damaged"


class RocksBatch:
    """A WriteBatch; ``put`` and ``delete`` are its own bound methods, for speed."""

    def __init__(self, handles: dict[str, ColumnFamily]) -> None:
        self._handles = handles
        self.raw = WriteBatch(raw_mode=True)
        self.put = self.raw.put
        self.delete = self.raw.delete
        self._family = ""

    def use(self, family: str) -> None:
        self._family = family
        self.raw.set_default_column_family(self._handles[family])

    def put_all(self, pairs: Mapping[bytes, bytes]) -> None:
        put = self.put
        for key, value in pairs.items():
            put(key, value)

    def delete_range(self, begin: bytes, end: bytes) -> None:
        # Unlike put and delete, rocksdict's own takes the database's default family where none is named.
        # The handle is not kept: it would keep the database open.
        self.raw.delete_range(begin, end, self._handles[self._family])


class RocksStore:
    """One RocksDB. Families are column families; one write-ahead log covers them all, so a batch is atomic."""

    def __init__(self, path: Path, *, cache_bytes: int = 64 * 1024 * 1024) -> None:
        """Opens or creates. Raises StoreError with a sentence that says what to do."""
        self._path = path
        self._cache = Cache(cache_bytes)
        try:
            path.mkdir(parents=True, exist_ok=True)
            existing = [name for name in Rdict.list_cf(str(path)) if name != "default"] if _exists(path) else []
            names = sorted({*existing, STATE, LOG})
            self._db = Rdict(str(path), self._database_options(), {name: self._family_options(name) for name in names})
        except OSError as error:
            raise _error(path, f"{error.strerror or error}") from error
        except Exception as error:  # rocksdict raises bare Exception with RocksDB's own status text
            raise _error(path, str(error)) from error
        self._scans: WeakSet[Generator[tuple[bytes, bytes], None, None]] = WeakSet()
        self._families: dict[str, Rdict] = {}
        self._handles: dict[str, ColumnFamily] = {}
        for name in names:
            self._attach(name)

    def _attach(self, family: str) -> None:
        self._families[family] = self._db.get_column_family(family)
        self._handles[family] = self._db.get_column_family_handle(family)

    def _database_options(self) -> Options:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        options.set_max_total_wal_size(_WAL_BYTES_MAX)
        options.set_max_open_files(_OPEN_FILES_MAX)
        options.set_keep_log_file_num(_INFO_LOGS_MAX)
        # A torn tail of the log is what kill -9 or a power cut leaves; anything before it that is corrupt is reported.
        options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
        options.set_max_background_jobs(2)
        options.set_allow_concurrent_memtable_write(False)  # there is one writer; hash memtables allow no more
        return options

    def _family_options(self, family: str) -> Options:
        options = Options(raw_mode=True)
        table = BlockBasedOptions()
        table.set_block_cache(self._cache)
        table.set_cache_index_and_filter_blocks(True)  # else they grow with the data, outside of the cache's bound
        table.set_pin_l0_filter_and_index_blocks_in_cache(True)
        options.set_max_write_buffer_number(_MEMTABLES_MAX)
        options.set_level_compaction_dynamic_level_bytes(True)
        if family == LOG:
            options.set_write_buffer_size(_LOG_MEMTABLE_BYTES)
            options.set_compression_type(DBCompressionType.lz4())
            table.set_block_size(32 * 1024)
        else:
            options.set_write_buffer_size(_MEMTABLE_BYTES)
            options.set_compression_type(DBCompressionType.none() if family != STATE else DBCompressionType.lz4())
            table.set_bloom_filter(_BLOOM_BITS, False)
            # A filter in one piece, 1 MB for a million keys, does not fit into a shard of the cache: every look-up then
            # reads it whole from the file (150 us instead of 3).
            table.set_partition_filters(True)
            table.set_index_type(BlockBasedIndexType.two_level_index_search())
            table.set_pin_top_level_index_and_filter(True)
            table.set_metadata_block_size(_METADATA_BYTES)
            options.set_memtable_prefix_bloom_ratio(_MEMTABLE_BLOOM_RATIO)
            options.set_memtable_whole_key_filtering(True)
        if family not in (LOG, STATE):  # identities: put and looked up one by one, scanned by nobody but tests
            options.set_prefix_extractor(SliceTransform.create_max_len_prefix(_BUCKET_BYTES))
            factory = MemtableFactory.hash_link_list(bucket_count=_BUCKETS)  # type: ignore[call-arg]  # its stub has none
            options.set_memtable_factory(factory)
            options.set_level_zero_file_num_compaction_trigger(_SEEN_FILES_MERGED)
            options.set_max_bytes_for_level_base(_SEEN_LEVEL_BYTES)
        options.set_block_based_table_factory(table)
        return options

    def get(self, family: str, key: bytes) -> bytes | None:
        return self.reader(family)(key)

    def reader(self, family: str) -> Callable[[bytes], bytes | None]:
        get = self._families[family].get

        def read(key: bytes) -> bytes | None:
            try:
                value: bytes | None = get(key)
            except Exception as error:
                raise self._failed(error) from error
            return value

        return read

    def scan(self, family: str, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        found = self._scan(family, begin, end)
        self._scans.add(found)
        return found

    def _scan(self, family: str, begin: bytes, end: bytes) -> Generator[tuple[bytes, bytes], None, None]:
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)
        bounds.set_total_order_seek(True)
        cursor = self._families[family].iter(bounds)
        cursor.seek(begin)
        while cursor.valid():
            yield cursor.key(), cursor.value()
            cursor.next()
        self._check(cursor)

    def last_before(self, family: str, begin: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        whole = ReadOptions()
        whole.set_total_order_seek(True)
        cursor = self._families[family].iter(whole)
        cursor.seek_for_prev(end)
        if not cursor.valid() or cursor.key() < begin:
            self._check(cursor)
            return None
        return cursor.key(), cursor.value()

    def _check(self, cursor: RdictIter) -> None:
        """A cursor ends at damage as it does at the end; only its status tells which of the two it was."""
        try:
            cursor.status()
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        return _error(self._path, str(error))

    def families(self) -> list[str]:
        return sorted(self._families)

    def add_family(self, family: str) -> None:
        if family not in self._families:
            self._db.create_column_family(family, self._family_options(family))
            self._attach(family)

    def drop_family(self, family: str) -> None:
        del self._families[family], self._handles[family]
        self._db.drop_column_family(family)

    def batch(self) -> RocksBatch:
        return RocksBatch(self._handles)

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, RocksBatch)
        try:
            self._db.write(batch.raw)
        except Exception as error:
            raise self._failed(error) from error

    def sync(self) -> None:
        try:
            self._db.flush_wal(True)
        except Exception as error:
            raise self._failed(error) from error

    def close(self) -> None:
        # A store whose disk failed can neither be flushed nor closed well; its log is what counts.
        with suppress(Exception):
            self._db.flush_wal(True)
        for begun in list(self._scans):
            begun.close()  # its cursor would keep the database open
        self._handles.clear()
        for opened in (*self._families.values(), self._db):  # one that is left open, by a reader, keeps the lock
            with suppress(Exception):
                opened.close()
        self._families.clear()

    def bytes_on_disk(self) -> int:
        """What the folder takes, all files."""
        size = 0
        for entry in os.scandir(self._path):
            with suppress(FileNotFoundError):  # a compaction removes files while they are counted
                size += entry.stat(follow_symlinks=False).st_size
        return size


def _exists(path: Path) -> bool:
    return (path / "CURRENT").exists()


def _error(path: Path, found: str) -> StoreError:
    found = " ".join(found.split())
    sentence = _sentence(path, found)
    damaged = sentence.startswith(f"the data folder {path} {_DAMAGED}")
    return StoreDamaged(sentence) if damaged else StoreError(sentence)


def _sentence(path: Path, found: str) -> str:
    text = found.lower()
    if "lock" in text and ("hold" in text or "unavailable" in text or "while lock" in text):
        return f"the data folder {path} is in use by another process: stop it, or choose another folder with --data"
    if "no space" in text:
        return f"the disk of the data folder {path} is full: free some space and start again, nothing written is lost"
    if "read-only" in text or "permission denied" in text:
        return f"the data folder {path} cannot be written: make it writable, or choose another folder with --data"
    if "file exists" in text or "not a directory" in text:
        return f"{path} is a file: a data folder was expected there; choose another with --data"
    if "corruption" in text or "no such file" in text:  # a file that another one names
        return (
            f"the data folder {path} {_DAMAGED} ({found[:160]}): restore it from a backup, or move it away and start "
            "with an empty one"
        )
    return f"the data folder {path} cannot be used: {found[:200]}"
