"""How long does usage authorisation take beside charges?

Bar: p99 <= 10 ms at 1,000 requests/s beside 10,000 charges/s, embedded. Both senders are this process, open loop: a
request is sent when it is due whether the last was answered or not, and its time counts from when it was due.
"""

import asyncio
import random

from benchmarks.embedded import batches, prepare
from benchmarks.report import percentile, table
from benchmarks.sender import pace, request
from benchmarks.server import running
from benchmarks.workload import charges

_CLIENTS = 100_000
_SECONDS = 20
_CHARGES_PER_REQUEST = 50


def question(number: int) -> bytes:
    """One authorisation of a minute of a client's call."""
    body = (
        b'{"client":"c-%07d","usage":{"type":"call","unit":"second","quantity":60},"amount":"0.06","channels_in_use":1}'
        % number
    )
    head = (
        "POST /v1/authorize HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _measure(asked_rate: int, charge_rate: int) -> list[str]:
    rng = random.Random(1)
    asked = [question(rng.randrange(_CLIENTS)) for _ in range(asked_rate * _SECONDS)]
    raws = list(charges(_CLIENTS, charge_rate * _SECONDS, 1))
    requests = [request(part) for part in batches(raws, _CHARGES_PER_REQUEST)]
    with running() as product:
        await prepare(product.port, _CLIENTS)
        took, charged = await asyncio.gather(
            pace(product.port, asked, 1 / asked_rate, 64),
            pace(product.port, requests, _CHARGES_PER_REQUEST / charge_rate, 64),
        )
    took.sort()
    charged.sort()
    cells = [f"{percentile(took, share) * 1e3:.1f}" for share in (0.5, 0.9, 0.99, 0.999)]
    return [f"{asked_rate:,}", f"{charge_rate:,}", *cells, f"{percentile(charged, 0.99) * 1e3:.1f}"]


def main() -> str:
    """The table of this question."""
    return table(
        f"Authorisation, ms, {_SECONDS} s, {_CLIENTS:,} clients, fsync, all outputs",
        ["requests/s", "charges/s beside", "p50", "p90", "p99", "p99.9", "p99 of the charges' answers"],
        [asyncio.run(_measure(1_000, 10_000))],
    )


if __name__ == "__main__":
    print(main())
