"""Python's cyclic garbage collector, told what this engine is like."""

import gc
from typing import Final

YOUNG_MAX: Final = 100_000
"""Objects between two young collections, of those made and not gone yet: a few batches' worth."""

_MIDDLE: Final = 50
_OLD: Final = 100


def spare_collector(young_max: int = YOUNG_MAX) -> None:
    """Collects less often: a batch makes thousands of objects, nearly all without cycles and soon gone by themselves.

    With the defaults every 700 of them cost a look at the young ones and, now and then, at every client in memory:
    a fifth of the fold at 100,000 clients (``benchmarks/README.md``). What is there at the start is never looked at
    again. ``young_max``: more than is under way at a time, else that is looked at again and again, for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young_max, _MIDDLE, _OLD)
