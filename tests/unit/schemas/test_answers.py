"""The answer to "why" on the wire."""

import msgspec

from schemas.answers import Why, WhyRule


def test_fields_of_the_answer_keep_their_names() -> None:
    assert [field.name for field in msgspec.structs.fields(Why)] == [
        "client",
        "asleep",
        "available",
        "live",
        "credit",
        "currency",
        "charged_at",
        "rules",
    ]
    assert {"rule", "threshold", "count", "max", "next_at", "evaluated_at", "verdict", "sentence"} <= {
        field.name for field in msgspec.structs.fields(WhyRule)
    }
