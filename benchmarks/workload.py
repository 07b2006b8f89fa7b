"""The workload of the bars: clients with one low balance rule each, and charges on random ones of them."""

import random
from collections.abc import Iterator

import msgspec

_encode = msgspec.json.Encoder().encode
TIME = "2026-03-01T10:00:00Z"


def configuration() -> list[bytes]:
    """A profile with one rule, and a template with capacity 3, low 5 -> 1."""
    rule = {"rule": "low", "audience": "client", "threshold": "5", "notify": True}
    return [
        _encode(
            {
                "type": "profile",
                "id": "profile",
                "source": "bench",
                "time": TIME,
                "profile": "standard",
                "max_qty": 3,
                "period_seconds": 86_400,
                "rules": [rule],
            }
        ),
        _encode(
            {
                "type": "template",
                "id": "template",
                "source": "bench",
                "time": TIME,
                "template": "standard",
                "profile": "standard",
                "capacity": 3,
                "low_balance": {"threshold": "5", "capacity": 1},
            }
        ),
    ]


def client(number: int) -> bytes:
    """The event that creates a client."""
    return _encode(
        {
            "type": "client",
            "id": f"client-{number}",
            "source": "bench",
            "time": TIME,
            "client": f"c-{number:07}",
            "currency": "EUR",
            "template": "standard",
            "billing_email": f"c{number}@example.net",
        }
    )


def payment(number: int, serial: int = 0, amount: str = "100") -> bytes:
    """A payment of a client."""
    return _encode(
        {
            "type": "payment",
            "id": f"payment-{number}-{serial}",
            "source": "bench",
            "time": TIME,
            "client": f"c-{number:07}",
            "amount": amount,
        }
    )


def charges(clients: int, count: int, seed: int) -> Iterator[bytes]:
    """Charges of about 140 bytes, 0.000001 to 0.05 each: about one in some hundreds crosses a threshold."""
    rng = random.Random(seed)
    for serial in range(count):
        number = rng.randrange(clients)
        yield (
            b'{"type":"charge","id":"%d-%08d","source":"sbc-1","client":"c-%07d",'
            b'"time":"2026-03-01T%02d:%02d:%02dZ","amount":"0.%06d"}'
            % (seed, serial, number, serial // 3600 % 24, serial // 60 % 60, serial % 60, rng.randrange(1, 50_000))
        )
