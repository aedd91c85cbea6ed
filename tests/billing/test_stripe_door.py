"""billing/stripe_door.py: one pinned version, and errors that say whether anything happened."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import respx
import stripe

from billing.errors import CardDeclined, StripeRefused, StripeUnavailable
from billing.stripe_door import (
    API_VERSION,
    IDEMPOTENCY_ERROR,
    StripeDoor,
    at,
    ident,
    listed,
    moment,
    translated,
)
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio

BASE = "http://127.0.0.1:9"
CUSTOMER = f"{BASE}/v1/customers/cus_1"


@pytest.fixture
def recorded() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def door(recorded: list[tuple[str, str]]) -> AsyncIterator[StripeDoor]:
    """A door to an address where respx answers, or nobody."""
    door = StripeDoor.open("sk_test_1", BASE, record=lambda *told: recorded.append(told))
    yield door
    await door.aclose()


async def fetch(door: StripeDoor) -> Any:
    with translated():
        return await door.v1.customers.retrieve_async("cus_1")


def refusal(status: int, **error: Any) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": "no", **error}})


def test_the_api_version_is_the_one_this_release_was_written_for() -> None:
    assert API_VERSION == "2026-10-28.endive" == stripe.api_version


@pytest.mark.parametrize(
    ("key", "livemode"),
    [("sk_test_1", False), ("rk_test_1", False), ("sk_live_1", True), ("rk_live_1", True)],
)
async def test_the_keys_prefix_decides_the_mode(key: str, livemode: bool) -> None:
    door = StripeDoor.open(key, None)
    assert door.livemode is livemode
    await door.aclose()


@pytest.mark.parametrize("key", ["", "pk_test_1", "whsec_1", "sk_1"])
def test_another_kind_of_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="STRIPE_SECRET_KEY"):
        StripeDoor.open(key, None)


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"])
def test_a_live_key_goes_to_no_other_address(key: str) -> None:
    with pytest.raises(ValueError, match="live"):
        StripeDoor.open(key, BASE)


@respx.mock
async def test_the_pinned_version_goes_with_every_call(door: StripeDoor) -> None:
    route = respx.get(CUSTOMER).respond(json={"id": "cus_1", "object": "customer"})

    await fetch(door)

    assert route.calls.last.request.headers["Stripe-Version"] == API_VERSION
    assert "X-Stripe-Client-Telemetry" not in route.calls.last.request.headers
    assert stripe.enable_telemetry is False


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, {"type": "invalid_request_error", "code": "parameter_missing"}, "parameter_missing"),
        (404, {"type": "invalid_request_error", "code": "resource_missing"}, "resource_missing"),
        (403, {"type": "invalid_request_error"}, ""),
        (400, {"type": "idempotency_error"}, IDEMPOTENCY_ERROR),
    ],
)
@respx.mock
async def test_a_refusal_did_nothing(
    door: StripeDoor, status: int, error: dict[str, str], code: str
) -> None:
    respx.get(CUSTOMER).mock(return_value=refusal(status, param="customer", **error))

    with pytest.raises(StripeRefused) as refused:
        await fetch(door)

    assert (refused.value.status, refused.value.code) == (status, code)


@respx.mock
async def test_a_decline_carries_the_banks_reason_and_the_intent(door: StripeDoor) -> None:
    respx.get(CUSTOMER).mock(
        return_value=refusal(
            402,
            type="card_error",
            code="card_declined",
            decline_code="insufficient_funds",
            payment_intent={"id": "pi_1", "object": "payment_intent"},
        )
    )

    with pytest.raises(CardDeclined) as declined:
        await fetch(door)

    assert declined.value.code == "card_declined"
    assert declined.value.decline_code == "insufficient_funds"
    assert declined.value.payment_intent_id == "pi_1"


@pytest.mark.parametrize("status", [401, 409, 429, 500, 503])
@respx.mock
async def test_what_says_nothing_is_unknown(door: StripeDoor, status: int) -> None:
    respx.get(CUSTOMER).mock(return_value=refusal(status, type="api_error"))

    with pytest.raises(StripeUnavailable):
        await fetch(door)


@pytest.mark.parametrize(
    "fault", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError]
)
@respx.mock
async def test_no_answer_is_unknown_after_three_tries(
    door: StripeDoor, fault: type[httpx.TransportError]
) -> None:
    route = respx.get(CUSTOMER).mock(side_effect=fault("gone"))

    with pytest.raises(StripeUnavailable):
        await fetch(door)

    assert route.call_count == 3


@respx.mock
async def test_something_else_than_json_is_unknown(door: StripeDoor) -> None:
    respx.get(CUSTOMER).respond(502, html="<h1>Bad gateway</h1>")

    with pytest.raises(StripeUnavailable):
        await fetch(door)


@respx.mock
async def test_errors_are_recorded_once_each_by_type_and_code(
    door: StripeDoor, recorded: list[tuple[str, str]]
) -> None:
    for answer in (
        refusal(402, type="card_error", code="card_declined", decline_code="do_not_honor"),
        refusal(404, type="invalid_request_error", code="resource_missing"),
        refusal(401, type="invalid_request_error"),
        refusal(429, type="invalid_request_error", code="rate_limit"),
        refusal(500, type="api_error"),
    ):
        respx.get(CUSTOMER).mock(return_value=answer)
        with pytest.raises((StripeRefused, StripeUnavailable)):
            await fetch(door)
    respx.get(CUSTOMER).mock(side_effect=httpx.ConnectError("gone"))
    with pytest.raises(StripeUnavailable):
        await fetch(door)

    assert recorded == [
        ("CardError", "do_not_honor"),
        ("InvalidRequestError", "resource_missing"),
        ("AuthenticationError", ""),
        ("RateLimitError", "rate_limit"),
        ("APIError", ""),
        ("APIConnectionError", ""),
    ]


async def test_the_account_is_asked_for_once(stripe_standin: RunningStandIn) -> None:
    door = StripeDoor.open(stripe_standin.key, stripe_standin.url)

    first = await door.account_id()
    with respx.mock:  # nobody is asked any more
        again = await door.account_id()

    assert first == again
    assert first.startswith("acct_")
    await door.aclose()


async def test_a_list_is_read_to_its_end(stripe_standin: RunningStandIn) -> None:
    door = StripeDoor.open(stripe_standin.key, stripe_standin.url)
    made = set()
    for number in range(5):
        with translated():
            customer = await door.v1.customers.create_async({"name": f"Number {number}"})
        made.add(customer.id)

    found = [one.id async for one in listed(door.v1.customers.list_async, {"limit": 2})]

    assert set(found) == made
    assert len(found) == 5
    await door.aclose()


def test_what_is_absent_is_none() -> None:
    thing = stripe.Customer.construct_from(
        {"id": "cus_1", "metadata": {"a": "1"}, "list": [{"id": "x"}], "none": None}, "sk_test_1"
    )

    assert at(thing, "metadata.a") == "1"
    assert at(thing, "list.0.id") == "x"
    for path in ("gone", "gone.further", "none.further", "list.1.id", "list.a", "id.b"):
        assert at(thing, path) is None
    assert at(None, "a") is None
    assert at({"a": [{"b": 2}]}, "a.0.b") == 2


def test_an_expandable_field_has_an_id_either_way() -> None:
    assert ident("cus_1") == ident({"id": "cus_1"}) == "cus_1"
    assert ident(None) is None


def test_seconds_become_a_time_in_utc() -> None:
    assert moment(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert moment(None) is None
