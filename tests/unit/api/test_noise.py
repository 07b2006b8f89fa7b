"""Whatever bytes come in, the answer is about them; it is never that something broke here."""

import random

import pytest

from tests.fakes.ingest import charge
from tests.unit.api.doors import Door

SEED = 20_260_131
BODIES = 2_000
MEDIA = (
    "application/json",
    "application/x-ndjson",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
)
PIECES = (
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\n", b"\r\n", b"\\ud800", b"\\u0000", b"\x00", b"\xff", b"1e999", b"-0",
    b"NaN", b'"data":', b'"data_base64":"', b'"specversion":"1.0",', b'"id":"x","source":"y","type":"charge",', b"null",
    charge("1"), charge("2")[:-1], b"[" * 2_000, b'{"a":' * 2_000, b"9" * 5_000,
)  # fmt: skip


def _body(random_: random.Random) -> bytes:
    if random_.random() < 0.5:
        return random_.randbytes(random_.randrange(300))
    return b"".join(random_.choices(PIECES, k=random_.randrange(1, 12)))


@pytest.mark.parametrize("media", MEDIA)
async def test_noise_never_breaks_the_door(door: Door, media: str) -> None:
    random_ = random.Random(f"{SEED}-{media}")
    for number in range(BODIES // len(MEDIA)):
        body = _body(random_)
        answer = await door.events(body, media)
        assert answer.status_code in (200, 400, 413, 422), f"seed {SEED}, body {number}: {body[:200]!r}"


async def test_noise_never_breaks_the_consumers_endpoints(door: Door) -> None:
    random_ = random.Random(SEED)
    for number in range(BODIES // 4):
        for what in ("settled", "commit"):
            answer = await door.client.post(
                f"/v1/consumers/mailer/{what}", content=_body(random_), headers={"content-type": "application/json"}
            )
            assert answer.status_code in (200, 204, 400, 422), f"seed {SEED}, body {number}"


async def test_noise_in_paths_and_queries_never_breaks_the_door(door: Door) -> None:
    random_ = random.Random(SEED)
    for number in range(BODIES // 4):
        noise = "".join(f"%{byte:02X}" for byte in random_.randbytes(random_.randrange(1, 40)))
        for url in (f"/v1/clients/{noise}", f"/v1/log/notifications?partition={noise}", f"/v1/events?{noise}"):
            answer = await door.client.get(url)
            assert answer.status_code in (400, 404, 405), f"seed {SEED}, url {number}: {url}"
