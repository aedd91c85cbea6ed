from typing import Any

from billing.standin.drift import as_of
from billing.standin.world import World


def seen(about: dict[str, Any], version: str, world: World | None = None) -> dict[str, Any]:
    event = as_of(world or World(), {"api_version": "x", "data": {"object": about}}, version)
    assert event["api_version"] == version
    return event["data"]["object"]


def test_a_charge_once_carried_its_refunds() -> None:
    world = World()
    world.put({"id": "re_1", "object": "refund", "charge": "ch_1", "_note": 1})
    charge = {"id": "ch_1", "object": "charge"}
    assert "refunds" not in seen(dict(charge), "2022-11-15", world)
    refunds = seen(dict(charge), "2022-08-01", world)["refunds"]
    assert refunds["data"] == [{"id": "re_1", "object": "refund", "charge": "ch_1"}]


def test_an_invoice_once_named_its_subscription() -> None:
    parent = {"subscription_details": {"subscription": "sub_1"}}
    invoice = {"id": "in_1", "object": "invoice", "status": "paid", "parent": parent}
    old = seen(dict(invoice), "2024-06-20")
    assert (old["subscription"], old["paid"], "parent" in old) == ("sub_1", True, False)
    assert seen(dict(invoice), "2025-03-31.basil") == invoice


def test_a_subscription_once_had_the_period_itself() -> None:
    items = [{"id": "si_1", "current_period_start": 1, "current_period_end": 2}]
    subscription = {"id": "sub_1", "object": "subscription", "items": {"data": items}}
    old = seen(subscription, "2024-06-20")
    assert (old["current_period_start"], old["current_period_end"]) == (1, 2)
    assert old["items"]["data"] == [{"id": "si_1"}]
