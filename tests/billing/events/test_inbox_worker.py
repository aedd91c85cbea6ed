"""What becomes of events: each object is settled, and whatever goes wrong ends with a person."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.errors import Quarantined, StripeRefused, StripeUnavailable
from billing.events import inbox, inbox_worker
from billing.events.event import read_event
from billing.events.inbox_worker import LEASE, MANY_DECLINES, MOST_TRIES, work
from billing.shop import Settled, Shop
from tests.billing.inbox_rig import (
    NOW_S,
    body,
    emptied,
    inbox_shop,
    open_alerts,
    rows,
    snapshot,
    thin,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(template_copy: str) -> AsyncIterator[Shop]:
    async with inbox_shop(await emptied(template_copy)) as shop:
        yield shop


class Settler:
    """Plays what settles: notes what it is asked, and answers as it is told to."""

    def __init__(self, *answers: Settled | Exception) -> None:
        self.asked: list[tuple[str, str]] = []
        self.most_at_once = 0
        self._answers = list(answers)
        self._now: list[str] = []

    async def __call__(self, shop: Shop, object_type: str, object_id: str) -> Settled:
        assert object_id not in self._now, "one object is settled by one at a time"
        self.asked.append((object_type, object_id))
        self._now.append(object_id)
        self.most_at_once = max(self.most_at_once, len(self._now))
        await asyncio.sleep(0)
        self._now.remove(object_id)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def granted() -> Settler:
    return Settler(Settled("granted", "1,000 credits"))


async def put(shop: Shop, *events: dict[str, Any]) -> None:
    now = datetime.fromtimestamp(shop.clock.now_ms() / 1_000, UTC)
    async with shop.ledger.database.transaction() as connection:
        for event in events:
            await inbox.put(connection, read_event(event), body(event), now=now, origin="webhook")


def about(number: int, event_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """An event about one of several charges."""
    named = {"object": "charge", "id": f"ch_{number}"}
    return snapshot(event_id or f"evt_{number}", type="charge.refunded", about=named, **fields)


async def test_an_event_is_settled_and_says_what_came_of_it(shop: Shop) -> None:
    await put(shop, snapshot())
    settler = granted()

    assert await work(shop, settle=settler) == 1

    assert settler.asked == [("checkout.session", "cs_test_1")]
    [row] = await rows(shop)
    assert (row["status"], row["outcome"]) == ("done", "granted: 1,000 credits")
    assert row["processed_at"] is not None


async def test_what_is_done_is_not_done_again(shop: Shop) -> None:
    await put(shop, snapshot())
    settler = granted()

    await work(shop, settle=settler)
    assert await work(shop, settle=settler) == 0

    assert len(settler.asked) == 1


async def test_what_is_not_ours_is_ignored(shop: Shop) -> None:
    await put(shop, snapshot())
    await work(shop, settle=Settler(Settled("ignored", "no order of ours")))

    [row] = await rows(shop)
    assert row["status"] == "ignored"


async def test_a_type_that_nothing_is_done_about_is_ignored(shop: Shop) -> None:
    """With the real table of handlers, which has none for coupons."""
    await put(shop, snapshot(type="coupon.created", about={"object": "coupon", "id": "c_1"}))
    await work(shop)

    [row] = await rows(shop)
    assert row["status"] == "ignored"


async def test_several_events_of_one_object_are_settled_at_once(shop: Shop) -> None:
    await put(shop, snapshot("evt_1"), snapshot("evt_2"), thin("evt_3"))
    settler = granted()

    assert await work(shop, settle=settler) == 3

    assert len(settler.asked) == 1
    assert [row["status"] for row in await rows(shop)] == ["done"] * 3


async def test_a_few_objects_are_settled_side_by_side(shop: Shop) -> None:
    await put(shop, *(about(number) for number in range(40)))
    settler = granted()

    assert await work(shop, settle=settler) == 40

    assert len(settler.asked) == 40
    assert 1 < settler.most_at_once <= inbox_worker.AT_ONCE


async def test_two_workers_at_once_share_the_work(shop: Shop) -> None:
    await put(shop, *(about(number) for number in range(30)))
    settler = granted()

    await asyncio.gather(work(shop, settle=settler), work(shop, settle=settler))

    assert len(settler.asked) == 30


async def test_an_event_whose_worker_died_comes_back_after_the_lease(shop: Shop) -> None:
    await put(shop, snapshot())
    claimed = asyncio.Event()

    async def never(shop: Shop, object_type: str, object_id: str) -> Settled:
        claimed.set()
        await asyncio.Event().wait()
        raise AssertionError

    dying = asyncio.create_task(work(shop, settle=never))
    await asyncio.wait_for(claimed.wait(), 10)
    dying.cancel()
    await asyncio.wait({dying})

    assert await work(shop, settle=granted()) == 0, "it is still leased"
    await shop.clock.sleep(LEASE.total_seconds())
    assert await work(shop, settle=granted()) == 1
    [row] = await rows(shop)
    assert (row["status"], row["attempts"]) == ("done", 2)


async def test_a_worker_that_comes_too_late_does_not_overwrite_the_outcome(shop: Shop) -> None:
    await put(shop, snapshot())

    async def slow(slow_shop: Shop, object_type: str, object_id: str) -> Settled:
        await shop.clock.sleep(LEASE.total_seconds())
        await work(shop, settle=granted())
        raise StripeUnavailable("no answer")

    await work(shop, settle=slow)

    [row] = await rows(shop)
    assert (row["status"], row["outcome"]) == ("done", "granted: 1,000 credits")


async def test_no_answer_of_stripes_is_tried_again_later_and_later(shop: Shop) -> None:
    await put(shop, snapshot())
    settler = Settler(StripeUnavailable("no answer"))

    rests = []
    for _ in range(12):
        await work(shop, settle=settler)
        [row] = await rows(shop)
        assert (row["status"], row["error_code"]) == ("failed", "unavailable")
        rest_s = row["next_try_at"].timestamp() - shop.clock.now_ms() / 1_000
        assert await work(shop, settle=settler) == 0
        rests.append(round(rest_s))
        await shop.clock.sleep(rest_s)

    assert rests[:4] == [5, 10, 20, 40]
    assert rests[-1] == 3_600


async def test_what_fails_for_too_long_is_dead_and_a_person_is_told(shop: Shop) -> None:
    await put(shop, snapshot())
    settler = Settler(StripeUnavailable("no answer"))

    for _ in range(MOST_TRIES):
        await work(shop, settle=settler)
        await shop.clock.sleep(3_601)
    assert await work(shop, settle=settler) == 0

    [row] = await rows(shop)
    assert (row["status"], row["attempts"]) == ("dead", MOST_TRIES)
    assert await open_alerts(shop) == [("inbox-dead", "evt_1")]


async def test_what_does_not_fit_waits_for_a_person(shop: Shop) -> None:
    await put(shop, snapshot())
    await work(shop, settle=Settler(Quarantined("The currency differs.")))

    [row] = await rows(shop)
    assert (row["status"], row["outcome"]) == ("quarantined", "The currency differs.")
    assert await open_alerts(shop) == [("quarantined", "cs_test_1")]


async def test_one_event_that_fails_does_not_stop_the_others(shop: Shop) -> None:
    await put(shop, *(about(number) for number in range(6)))

    async def picky(shop: Shop, object_type: str, object_id: str) -> Settled:
        if object_id == "ch_0":
            raise RuntimeError("a mistake of ours")
        return Settled("updated", "")

    await work(shop, settle=picky)

    by_id = {row["object_id"]: row for row in await rows(shop)}
    assert by_id["ch_0"]["status"] == "failed"
    assert by_id["ch_0"]["outcome"] == "RuntimeError: a mistake of ours"
    assert {by_id[f"ch_{number}"]["status"] for number in range(1, 6)} == {"done"}


async def test_another_refusal_is_tried_again_with_stripes_code(shop: Shop) -> None:
    await put(shop, snapshot())
    await work(shop, settle=Settler(StripeRefused("not with this key", status=403, code="x")))

    [row] = await rows(shop)
    assert (row["status"], row["error_code"]) == ("failed", "x")


MISSING = StripeRefused("No such charge", status=404, code="resource_missing")


async def test_an_object_that_stripe_does_not_have_is_ignored(shop: Shop) -> None:
    """Deleted, or of another Stripe account whose secret was put in here."""
    await put(shop, about(1))
    await work(shop, settle=Settler(MISSING))

    [row] = await rows(shop)
    assert (row["status"], row["outcome"]) == ("ignored", "Stripe has no such object")


async def test_an_object_with_our_mark_that_stripe_does_not_have_waits_for_a_person(
    shop: Shop,
) -> None:
    event = about(1)
    event["data"]["object"]["metadata"] = {"farebox": "here"}
    await put(shop, event)
    await work(shop, settle=Settler(MISSING))

    [row] = await rows(shop)
    assert row["status"] == "quarantined"


async def test_a_thin_event_about_a_missing_object_is_ignored(shop: Shop) -> None:
    await put(shop, thin(data=None))
    await work(shop, settle=Settler(MISSING))

    [row] = await rows(shop)
    assert row["status"] == "ignored"


async def test_a_later_event_that_settles_the_object_closes_what_waited(shop: Shop) -> None:
    await put(shop, about(1, "evt_a"))
    await work(shop, settle=Settler(Quarantined("no such payment")))
    await put(shop, about(1, "evt_b"))
    await work(shop, settle=granted())

    assert [row["status"] for row in await rows(shop)] == ["done", "done"]
    assert await open_alerts(shop) == []


async def test_a_later_event_closes_what_was_given_up_and_its_alert(shop: Shop) -> None:
    await put(shop, snapshot("evt_1"))
    for _ in range(MOST_TRIES):
        await work(shop, settle=Settler(StripeUnavailable("no answer")))
        await shop.clock.sleep(3_601)
    assert await open_alerts(shop) == [("inbox-dead", "evt_1")]
    await put(shop, snapshot("evt_2"))

    await work(shop, settle=granted())

    assert [row["status"] for row in await rows(shop)] == ["done", "done"]
    assert await open_alerts(shop) == []


async def test_three_declines_of_one_account_within_ten_minutes_are_an_alert(shop: Shop) -> None:
    async with shop.ledger.database.connection() as connection:
        account = await connection.fetchval(
            "INSERT INTO accounts (external_id) VALUES (gen_random_uuid()::text) RETURNING id"
        )

    def declined(number: int, minute: int) -> list[dict[str, Any]]:
        named = {"object": "payment_intent", "id": "pi_1"}
        kind, at_s = "payment_intent.payment_failed", NOW_S + 60 * minute
        twin = thin(f"evt_thin_{number}", type=f"v1.{kind}", created=_iso(at_s))
        twin["related_object"] = {"type": "payment_intent", "id": "pi_1"}
        return [snapshot(f"evt_{number}", type=kind, created=at_s, about=named), twin]

    settler = Settler(Settled("waiting", "declined", account))
    for number, minute in enumerate([0, 11, 12]):
        await put(shop, *declined(number, minute))
    await work(shop, settle=settler)
    assert await open_alerts(shop) == [], "of three only two are near each other"

    await put(shop, *declined(MANY_DECLINES, 13))
    await work(shop, settle=settler)
    assert await open_alerts(shop) == [("declines", f"acc_{account}")]


async def test_events_of_the_other_mode_are_left_alone(shop: Shop) -> None:
    await put(shop, snapshot(livemode=True))
    assert await work(shop, settle=granted()) == 0


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
