"""One of each state record, with every field given and with only what is required."""

import msgspec

from engine.core.records import (
    Account,
    Balance,
    Bucket,
    Grants,
    Hold,
    InvoiceState,
    Ledger,
    PlanStanding,
    RuleState,
)
from engine.core.time_balance import Consumed
from schemas.events import Client, LowBalance

_SETTINGS = Client(id="e1", source="billing", time=1_769_846_400_123_456, client="c-42", currency="USD")
_SETTINGS_WHOLE = Client(
    id="e1",
    source="billing",
    time=1_769_846_400_123_456,
    client="c-42",
    currency="USD",
    model="postpaid",
    reseller="r",
    manager="m",
    template="t",
    customer_class="k",
    profile="p",
    billing_email="ops@client.example",
    phone="+380441234567",
    language="uk",
    time_zone="Europe/Kyiv",
    capacity=3,
    low_balance=LowBalance(threshold=5_500_000, capacity=1),
    warning_thresholds=("5", "90%"),
    warning_channels=("email", "sms"),
    transfers="yes",
    cycle_day=28,
)
_RULE = RuleState(5_000_000, "USD", True, True, 7, 2, 1_769_853_600_000_000)
_HOLD = Hold("c-43", 2_000_000, 2**64 - 1, 1_769_853_600_000_000, b'{"type":"transfer"}', ("EUR", "USD", "1.0842"))
_INVOICE = InvoiceState(30_000_000, 10_000_000, 1_771_027_200_000_000, 1_769_853_600_000_000)
_BUCKET = Bucket(
    "off-net", "g1~2", "g1", 2, 9, 60, 48, 1_769_853_600_000_000, 1_772_445_600_000_000, 1_769_860_800_000_000
)

RECORDS: dict[str, msgspec.Struct] = {
    "balance": Balance("c-42", "USD"),
    "balance, whole": Balance(
        "c-42",
        "USD",
        13,
        -92_500_000,
        17,
        -88_000_000,
        1_769_853_600_000_000,
        100_000_000,
        20_000_000,
        1_770_681_600_000_000,
        250_000,
        3,
        2_000_000,
        True,
        3_500_000,
        41_250_000,
    ),
    "account": Account(_SETTINGS, 1_769_846_400_123_456),
    "account, whole": Account(
        _SETTINGS_WHOLE,
        1_769_846_400_123_456,
        1_769_940_000_000_000,
        12,
        1_769_853_600_000_000,
        "p",
        {"low": _RULE},
        ["90%", "5"],
        {"self-care\0e8": _HOLD},
        1,
    ),
    "rule state": RuleState(5_000_000, "USD"),
    "rule state, whole": _RULE,
    "hold": Hold("c-43", 2_000_000, 1, 1_769_853_600_000_000, b""),
    "hold, whole": _HOLD,
    "invoice": _INVOICE,
    "ledger": Ledger(),
    "ledger, whole": Ledger({"2026/1": _INVOICE}, [("2026/1", 10_000_000)]),
    "bucket": Bucket("off-net", "g1", "g1", 0, 1, 60, 0, 1_769_853_600_000_000, 2**62),
    "bucket, whole": _BUCKET,
    "plan standing": PlanStanding(1_769_853_600_000_000),
    "plan standing, whole": PlanStanding(1_769_853_600_000_000, [0, 80_500_000]),
    "grants": Grants(),
    "grants, whole": Grants([_BUCKET], {"off-net": PlanStanding(1_769_853_600_000_000, [0])}, 9),
    "consumed": Consumed("off-net", "g1", 1, 12),
}
"""By name. A record that is new here needs no new bytes for the others; a field that is new is appended."""
