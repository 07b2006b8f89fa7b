"""Python's cyclic garbage collector, told what this engine is like."""

import gc
from typing import Final

_YOUNG_MAX: Final = 100_000  # objects made between two young collections: a few batches' worth
_MIDDLE: Final = 50
_OLD: Final = 100


def spare_collector() -> None:
    """Collects less often: a batch makes thousands of objects, nearly all without cycles and soon gone by themselves.

    With the defaults every 700 of them cost a look at the young ones and, now and then, at every client in memory:
    a fifth of the fold at 100,000 clients (``benchmarks/README.md``). What is there
    at the start is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, _MIDDLE, _OLD)
