"""Sends events to a running product: in order, again after a failure, each applied once. Over HTTP it is here, to Kafka
in ``engine.kafka.publishing``; both are a ``Door``.

Over HTTP one request is under way at a time, so that the order of the file is the order of every client; the engine
commits a batch at once, and a batch of a thousand events fills the wait. A request whose answer is lost is sent again:
the events it had applied come back as duplicates, because identity decides and not delivery.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

import httpx
import msgspec

from engine.failures import OperationalError, WrongUse
from engine.lines import InputLine
from projections.api.options import is_loopback
from schemas.reasons import Reason

_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_RETRY_AFTER_SECONDS_MAX: Final = 60.0
"""A server may ask for a longer wait, but one that comes back earlier should not be missed."""
_ANSWER_CHARACTERS_MAX: Final = 200


class PublishFailed(OperationalError):  # noqa: N818  # it names what happened to the whole, not one error
    """The product could not be reached, or takes nothing; ``str`` says why and that sending again is safe."""


class PublishOptions(msgspec.Struct, frozen=True):
    """Where events go and how patiently. Times in seconds."""

    url: str
    key: str | None = None
    batch_events_max: int = 1000
    """Events of one request: enough to fill a commit, few enough that a lost answer repeats little."""
    batch_bytes_max: int = 1024 * 1024
    """An eighth of what the door takes by default, so that a smaller limit there is seldom met."""
    request_seconds: float = 30.0
    give_up_seconds: float = 300.0
    """How long nothing at all may be taken before sending ends: longer than a restart with recovery."""
    backoff_first_seconds: float = 0.5
    backoff_max_seconds: float = 15.0


class Piece(msgspec.Struct, frozen=True, gc=False):
    """One event to send: its bytes, where it was found, and the offset in the input right after it."""

    raw: bytes
    place: str
    end: int = 0
    too_long: bool = False


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event that was refused: where it was found, the contract's reason, the engine's sentence, the event."""

    place: str
    reason: str
    message: str
    event: str


class Totals(msgspec.Struct):
    """What became of everything sent so far; ``refused`` by reason."""

    sent: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: dict[str, int] = {}

    @property
    def refused_count(self) -> int:
        """All refused events."""
        return sum(self.refused.values())


class _Item(msgspec.Struct):
    index: int
    reason: str | None = None
    message: str | None = None


class _Answers(msgspec.Struct):
    results: list[_Item]
    accepted: int
    duplicate: int
    refused: int


class _Problem(msgspec.Struct):
    detail: str = ""


class Door(Protocol):
    """Takes batches, one after the other, and comes back from each when it is durable."""

    async def send(self, batch: list[Piece], totals: Totals) -> list[RefusedEvent]:
        """Sends one batch; counts in ``totals`` what was accepted or a repeat, and gives what was refused.

        Raises PublishFailed.
        """
        ...


OnBatch = Callable[[list[Piece], list[RefusedEvent], Totals], None]


def pieces_of(lines: Iterable[InputLine], name: str) -> Iterator[Piece]:
    """The events of a file's lines; blank lines are left out."""
    for line in lines:
        if line.data.strip():
            yield Piece(line.data, f"{name}:{line.number}", line.end, line.too_long)


async def publish(pieces: Iterable[Piece], options: PublishOptions, on_batch: OnBatch) -> Totals:
    """Sends every piece in order; ``on_batch`` is told what became of each batch once it is durable.

    Raises PublishFailed where the product takes nothing for ``give_up_seconds``, or refuses to talk at all.
    """
    async with _Sender(options) as sender:
        return await publish_through(sender, pieces, options.batch_events_max, options.batch_bytes_max, on_batch)


async def publish_through(
    door: Door, pieces: Iterable[Piece], batch_events_max: int, batch_bytes_max: int, on_batch: OnBatch
) -> Totals:
    """The same through any door."""
    totals = Totals()
    for batch in _batches(pieces, batch_events_max, batch_bytes_max):
        refused = await door.send([piece for piece in batch if not piece.too_long], totals)
        for piece in batch:
            if piece.too_long:
                refused.append(_refused(piece, None, "expected one event a line, found a line that is too long"))
        for event in refused:
            totals.refused[event.reason] = totals.refused.get(event.reason, 0) + 1
        totals.sent += len(batch)
        on_batch(batch, refused, totals)
    return totals


def _batches(pieces: Iterable[Piece], events_max: int, bytes_max: int) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    batch_bytes = 0
    for piece in pieces:
        full = len(batch) >= events_max or batch_bytes + len(piece.raw) > bytes_max
        if batch and full:
            yield batch
            batch, batch_bytes = [], 0
        batch.append(piece)
        batch_bytes += len(piece.raw) + 1
    if batch:
        yield batch


class _Sender:
    """One connection to the product, and how long it has taken nothing."""

    def __init__(self, options: PublishOptions) -> None:
        self._options = options
        self._url = options.url.rstrip("/") + "/v1/events"
        self._client = open_client(options.url, options.key, options.request_seconds)
        self._taken_at = time.monotonic()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(self, batch: list[Piece], totals: Totals) -> list[RefusedEvent]:
        """Sends one batch until it is answered, in halves where it is too large; gives what was refused of it."""
        if not batch:
            return []
        answers = await self._answers(b"\n".join(piece.raw for piece in batch))
        if answers is None:
            if len(batch) == 1:
                return [_refused(batch[0], None, "the product says that this event alone is too large")]
            half = len(batch) // 2
            return [*await self.send(batch[:half], totals), *await self.send(batch[half:], totals)]
        if answers.accepted + answers.duplicate + answers.refused != len(batch) or any(
            not 0 <= item.index < len(batch) for item in answers.results
        ):
            raise PublishFailed(f"{self._url} answered for other events than were sent: is it this product's address?")
        totals.accepted += answers.accepted
        totals.duplicate += answers.duplicate
        return [_refused(batch[item.index], item.reason, item.message) for item in answers.results]

    async def _answers(self, body: bytes) -> _Answers | None:
        """The answers to a body; None where it is too large for the product."""
        attempt = 0
        while True:
            wait: float | None = None
            try:
                response = await self._client.post(
                    self._url,
                    content=body,
                    params={"answers": "refused"},
                    headers={"content-type": "application/x-ndjson"},
                )
            except (httpx.UnsupportedProtocol, httpx.InvalidURL):
                raise wrong_url(self._options.url) from None
            except httpx.TransportError as error:
                found = unreachable(self._options.url, error)
            else:
                if response.status_code == 200:
                    self._taken_at = time.monotonic()
                    return self._read(response)
                if response.status_code == 413:
                    return None
                found = problem_of(response)
                if response.status_code not in _RETRIED:
                    raise PublishFailed(found)
                wait = _retry_after(response)
            await self._pause(found, wait, attempt)
            attempt += 1

    def _read(self, response: httpx.Response) -> _Answers:
        try:
            return msgspec.json.decode(response.content, type=_Answers)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise PublishFailed(
                f"{self._url} gave an answer that cannot be read: is it this product's address?"
            ) from None

    async def _pause(self, found: str, wait: float | None, attempt: int) -> None:
        options = self._options
        if wait is None:
            wait = min(options.backoff_max_seconds, options.backoff_first_seconds * 2 ** min(attempt, 16))
            wait *= 0.5 + random.random() / 2  # several senders should not come back at one instant
        if time.monotonic() + wait - self._taken_at > options.give_up_seconds:
            raise PublishFailed(
                f"{found}; gave up after {options.give_up_seconds:g} s in which nothing was taken. "
                "Run the same command again: what was taken already is not applied twice"
            )
        await asyncio.sleep(wait)


def open_client(url: str, key: str | None, timeout_seconds: float) -> httpx.AsyncClient:
    """A client of the product's door. Raises WrongUse for an address or a key that cannot be one."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong_url(url)
    if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key and key):
        raise WrongUse("the key: expected printable ASCII without spaces around it, found another text")
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    # A proxy of the environment cannot reach this machine's own loopback.
    return httpx.AsyncClient(headers=headers, timeout=timeout_seconds, trust_env=not is_loopback(parts.hostname))


def wrong_url(url: str) -> WrongUse:
    """The sentence for an address that is none."""
    return WrongUse(f"--url: expected an address such as http://127.0.0.1:8080, found {url[:100]!r}")


def unreachable(url: str, error: httpx.TransportError) -> str:
    """The sentence for a product that does not answer."""
    if isinstance(error, httpx.ConnectError):
        return f"nothing answers at {url} (is `plimsoll run` running there?)"
    if isinstance(error, httpx.TimeoutException):
        return f"{url} did not answer in time"
    return f"the connection to {url} broke: {str(error)[:_ANSWER_CHARACTERS_MAX] or type(error).__name__}"


def detail_of(response: httpx.Response) -> str:
    """What a problem+json answer says in its own words, or what stands for it."""
    try:
        detail = msgspec.json.decode(response.content, type=_Problem).detail
    except (msgspec.MsgspecError, UnicodeDecodeError):
        detail = ""
    return detail[:_ANSWER_CHARACTERS_MAX] or response.reason_phrase


def problem_of(response: httpx.Response) -> str:
    """The sentence for an answer that is not what was asked for, with what to do where that is known."""
    where = str(response.request.url.copy_with(query=None))
    detail = detail_of(response)
    if response.status_code == 401:
        return f"{where} wants a key: give it with --key or PLIMSOLL_KEY ({detail})"
    if response.status_code == 403:
        return f"the key may not do this: {detail}"
    return f"{where} answered {response.status_code}: {detail}"


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        return None
    return min(float(text), _RETRY_AFTER_SECONDS_MAX)


def _refused(piece: Piece, reason: str | None, message: str | None) -> RefusedEvent:
    return RefusedEvent(
        piece.place, reason or Reason.MALFORMED.value, message or "refused", piece.raw.decode(errors="replace")
    )
