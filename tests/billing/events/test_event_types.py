"""The list of events is Stripe's own, and each event leads to the object it is about."""

import re
import typing
from typing import Any, get_args

import pytest
from stripe import Event as StripeEvent
from stripe.events import _event_classes
from stripe.params import WebhookEndpointCreateParams

from billing.events.event_types import EVENT_TYPES, listed, object_of
from tests.billing.inbox_rig import snapshot, thin


def test_there_are_59_types_and_each_stands_there_once() -> None:
    assert len(EVENT_TYPES) == len(set(EVENT_TYPES)) == 59


def test_the_sdk_knows_every_type_as_a_snapshot() -> None:
    hint = typing.get_type_hints(StripeEvent, include_extras=True)["type"]
    known = {name for literal in [hint, *get_args(hint)] for name in get_args(literal)}
    assert set(EVENT_TYPES) <= known | set(get_args(hint))


def test_an_endpoint_may_be_made_for_every_type() -> None:
    import inspect

    source = inspect.getsource(inspect.getmodule(WebhookEndpointCreateParams))  # type: ignore[arg-type]
    assert set(EVENT_TYPES) <= set(re.findall(r'"([a-z_.]+)"', source))


def test_the_sdk_knows_the_thin_twin_of_every_type() -> None:
    thin_types = _event_classes._V2_EVENT_NOTIFICATION_CLASS_LOOKUP
    assert {f"v1.{name}" for name in EVENT_TYPES} <= set(thin_types)


@pytest.mark.parametrize(
    ("name", "is_thin", "expected"),
    [
        ("charge.refunded", False, True),
        ("v1.charge.refunded", True, True),
        ("charge.refunded", True, False),
        ("v1.charge.refunded", False, False),
        ("v1.v1.charge.refunded", True, False),
        ("payout.paid", False, False),
    ],
)
def test_a_type_is_listed_in_its_own_shape_only(
    name: str, *, is_thin: bool, expected: bool
) -> None:
    assert listed(name, thin=is_thin) is expected


def test_a_snapshot_names_its_object() -> None:
    about = {"object": "radar.early_fraud_warning", "id": "issfr_1"}
    assert object_of(snapshot(about=about)) == ("radar.early_fraud_warning", "issfr_1")


def test_a_thin_event_names_its_related_object() -> None:
    assert object_of(thin()) == ("checkout.session", "cs_test_1")


def test_ids_that_people_chose_are_kept() -> None:
    assert object_of(snapshot(about={"object": "coupon", "id": "25-OFF.v2"}))[1] == "25-OFF.v2"


@pytest.mark.parametrize(
    "about",
    [
        None,
        [],
        "cs_1",
        {},
        {"object": "charge"},
        {"object": "charge", "id": ""},
        {"object": "charge", "id": 1},
        {"object": "charge", "id": "ch_1/../x"},
        {"object": "charge", "id": "ch_1?expand"},
        {"object": "charge", "id": ".."},
        {"object": "charge", "id": "ch\x00"},
        {"object": "Charge", "id": "ch_1"},
        {"object": "charge", "id": "c" * 256},
    ],
)
def test_what_is_no_id_names_nothing(about: Any) -> None:
    assert object_of(snapshot(about=about)) == ("", "")


@pytest.mark.parametrize("event", [{"object": "event"}, {"object": "event", "data": 1}, {}])
def test_an_event_without_an_object_names_nothing(event: dict[str, Any]) -> None:
    assert object_of(event) == ("", "")
