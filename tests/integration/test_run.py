"""``plimsoll run`` as a person starts it: what it says, that it works end to end, and that it ends in order."""

import signal
from pathlib import Path

import pytest

from tests.integration.crash.audit import audit_folder
from tests.integration.crash.peers import listening
from tests.integration.notifying import until
from tests.integration.processes import Product
from tests.unit.embedded.engines import client, event

PARTITIONS = 12


def _post(product: Product, *events: bytes) -> list[str]:
    body = b"\n".join(events)
    return [item["status"] for item in product.post(body).raise_for_status().json()["results"]]


def test_it_says_where_to_look_and_what_it_says_is_so(tmp_path: Path) -> None:
    with Product(tmp_path / "data").started() as product:
        assert _post(product, client("c-1"), event("payment", "p", client="c-1", amount="6")) == ["accepted"] * 2
        shown = "\n".join(product.lines).replace("CLIENT", "c-1")
        for path in ("/v1/clients/c-1", "/v1/clients/c-1/why", "/openapi.json", "/metrics"):
            assert f"{product.url}{path}\n" in f"{shown}\n"
            assert product.get(path).status_code == 200
        assert product.get("/readyz").json()["status"] == "ready"
        metrics = product.get("/metrics").text
        assert 'plimsoll_events_total{outcome="accepted",type="payment"} 1.0' in metrics


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_at_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with Product(tmp_path / "data").started() as product:
        _post(product, client("c-1"))
        product.popen.send_signal(number)
        assert product.ended() == 0
        assert product.errors == []
    assert audit_folder(tmp_path / "data", PARTITIONS).events == 1


async def test_a_client_below_its_line_gets_mail_and_sms(tmp_path: Path) -> None:
    profile = event(
        "profile", "f", profile="f", name="F", currency="EUR", max_qty=3,
        rules=[{"rule": "low", "audience": "client", "threshold": "5", "notify": True, "channels": ["email", "sms"]}],
    )  # fmt: skip
    async with listening() as peers:
        peers.write_configuration(tmp_path / "plimsoll.toml")
        with Product(tmp_path / "data", "--config", str(tmp_path / "plimsoll.toml")).started() as product:
            _post(product, profile, client("c-1", profile="f", phone="+380501234567"))
            _post(product, event("payment", "p", client="c-1", amount="6"))
            _post(product, event("charge", "c", client="c-1", amount="2"))
            await until(lambda: peers.mail.count == 1 and peers.sms.count == 1)
            assert peers.mail.mails[0].to == ("c-1@example.net",)
            assert peers.sms.messages[0].to == ("+380501234567",)
            assert product.stop() == 0
    found = audit_folder(tmp_path / "data", PARTITIONS)
    found.check()
    assert sorted(delivery.outcome for delivery in found.deliveries) == ["sent", "sent"]


async def test_a_demo_shows_a_mail_an_sms_and_capacity_that_falls(tmp_path: Path) -> None:
    with Product(tmp_path / "data", "--demo").started() as product:
        product.wait_for(r"Subject: Balance below 5\.00 EUR: account c-0001")
        product.wait_for(r"SMS .*c-0001")
        product.wait_for(r"c-0001 has .* capacity 3 -> 1")
        assert product.stop() == 0
        assert product.errors == []
