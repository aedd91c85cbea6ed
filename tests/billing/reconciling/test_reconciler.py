"""What no webhook told is found by the passes; what was found is not found again."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
import stripe

from billing import settling
from billing.errors import StripeRefused, StripeUnavailable
from billing.events import inbox_worker
from billing.purchases import checkout
from billing.reconciling import reconciler, state_pass
from billing.reconciling.pass_report import PassName, Report
from billing.shop import Shop
from ledger.ports import SystemClock
from tests.billing.conftest import applied, buy, lose_the_answer, order_of, rows
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


class LaterClock(SystemClock):
    """The machine's clock, moved ahead together with the stand-in's."""

    ahead_s = 0.0

    def now_us(self) -> int:
        return super().now_us() + int(self.ahead_s * 1_000_000)

    def now_ms(self) -> int:
        return self.now_us() // 1_000


class Later:
    """A shop and a Stripe that can both be moved ahead in time."""

    def __init__(self, shop: Shop, stripe: RunningStandIn) -> None:
        self.clock = LaterClock()
        self.shop = dataclasses.replace(shop, clock=self.clock)
        self.stripe = stripe

    def advance(self, **time: float) -> None:
        seconds = timedelta(**time).total_seconds()
        self.clock.ahead_s += seconds
        self.stripe.advance(seconds)

    async def run(self, *passes: PassName, **options: Any) -> list[Report]:
        return await reconciler.run(self.shop, passes or reconciler.PASSES, **options)

    async def balance(self, account: int) -> int:
        return (await applied(self.shop, account)).get("credits", 0)


@pytest.fixture
def later(shop: Shop, stripe_standin: RunningStandIn) -> Later:
    """Nothing is delivered in these tests: no endpoint was ever set up."""
    return Later(shop, stripe_standin)


async def intent_of(shop: Shop, order_id: str) -> str:
    [row] = await rows(
        shop, "SELECT payment_intent_id FROM billing.payments WHERE order_id = $1", order_id
    )
    return str(row["payment_intent_id"])


async def alerts_of(shop: Shop) -> list[str]:
    return [row["kind"] for row in await rows(shop, "SELECT kind FROM billing.alerts ORDER BY id")]


async def test_a_purchase_without_any_webhook_is_granted_by_the_events_pass(
    later: Later, account: int
) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)

    [report] = await later.run("events")
    assert report.outcomes["taken_in"] > 0
    await inbox_worker.work(later.shop)

    assert await later.balance(account) == 100
    waiting = await rows(later.shop, "SELECT * FROM billing.inbox WHERE status = 'received'")
    assert waiting == []


async def test_a_purchase_without_any_webhook_is_granted_by_the_state_pass(
    later: Later, account: int
) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)

    [report] = await later.run("state")

    assert report.complete
    assert report.outcomes["granted"] == 1
    assert await later.balance(account) == 100


async def test_the_same_events_are_taken_in_once(later: Later, account: int) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)

    [first] = await later.run("events")
    [again] = await later.run("events")

    assert again.outcomes == {"known": first.outcomes["taken_in"]}


async def test_everything_again_changes_nothing(later: Later, account: int) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    await later.run()
    await inbox_worker.work(later.shop)
    later.stripe.refund(await intent_of(later.shop, started.order_id), 250)
    await later.run()
    await inbox_worker.work(later.shop)
    assert await later.balance(account) == 75

    controls = await rows(later.shop, "SELECT * FROM controls ORDER BY account_id, cseq")
    for _ in range(2):
        for report in await later.run():
            assert not {"granted", "reversed"} & set(report.outcomes)
        await inbox_worker.work(later.shop)

    assert await rows(later.shop, "SELECT * FROM controls ORDER BY account_id, cseq") == controls
    assert await later.balance(account) == 75


async def test_all_events_replayed_after_a_restore_change_nothing(
    later: Later, account: int
) -> None:
    """The inbox and the cursors are gone; orders and payments came from a backup."""
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    await later.run("events")
    await inbox_worker.work(later.shop)
    async with later.shop.ledger.database.connection() as connection:
        await connection.execute("DELETE FROM billing.inbox; DELETE FROM billing.cursors")

    later.advance(days=20)
    [report] = await later.run("events")
    await inbox_worker.work(later.shop)

    assert report.outcomes["taken_in"] > 0
    assert await later.balance(account) == 100


async def test_what_was_bought_after_the_backup_waits_for_a_person(
    later: Later, account: int
) -> None:
    """The order itself is lost: the session carries our mark, and nobody knows whose it is."""
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    async with later.shop.ledger.database.connection() as connection:
        await connection.execute("DELETE FROM billing.orders")

    [report] = await later.run("state")

    assert report.outcomes["quarantined"] == 1
    assert await alerts_of(later.shop) == ["quarantined"]


async def test_an_order_whose_answer_was_lost_gets_its_session(later: Later, account: int) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    async with later.shop.ledger.database.connection() as connection:
        await connection.execute(
            "UPDATE billing.orders SET state = 'created', session_id = NULL, session_url = NULL"
        )

    later.advance(minutes=11)
    await later.run("state")

    assert (await order_of(later.shop, started.order_id)).session_id == started.session_id
    assert await later.balance(account) == 100


async def test_an_order_that_was_left_is_closed(later: Later, account: int) -> None:
    started = await buy(later.shop, account)
    later.advance(days=2)

    await later.run("state")

    assert (await order_of(later.shop, started.order_id)).state == "expired"


async def test_young_orders_are_left_to_the_webhook(later: Later, account: int) -> None:
    await buy(later.shop, account)

    [report] = await later.run("state")

    assert report.looked_at == 0


async def test_a_slow_payment_is_granted_when_it_came(later: Later, account: int) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay_slowly(started.session_id)
    later.advance(days=3)
    await later.run("state")
    assert (await order_of(later.shop, started.order_id)).state == "awaiting_funds"

    later.stripe.finish_payment(started.session_id)
    await later.run("state")

    assert await later.balance(account) == 100


async def test_a_refund_from_the_dashboard_takes_credits_back(later: Later, account: int) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    await settling.settle(later.shop, "checkout.session", started.session_id)
    later.stripe.refund(await intent_of(later.shop, started.order_id), 500)

    await later.run("state")

    assert await later.balance(account) == 50


async def test_a_refund_that_fails_long_after_gives_them_again(later: Later, account: int) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    await settling.settle(later.shop, "checkout.session", started.session_id)
    intent = await intent_of(later.shop, started.order_id)
    refund = later.stripe.refund(intent, 500, status="pending")
    await later.run("state")
    assert await later.balance(account) == 50

    later.advance(days=10)
    await later.run("state")
    later.stripe.set_refund_status(refund["id"], "failed")
    await later.run("state")

    assert await later.balance(account) == 100


async def test_a_dispute_and_its_end_are_found(later: Later, account: int) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    await settling.settle(later.shop, "checkout.session", started.session_id)
    intent = await intent_of(later.shop, started.order_id)
    dispute = later.stripe.dispute(intent)
    await later.run("state")
    assert await later.balance(account) == 0

    later.advance(days=60)
    await later.run("state")
    later.stripe.dispute_step(dispute["id"], "win")
    await later.run("state")

    assert await later.balance(account) == 100


async def test_money_of_a_dispute_that_came_later_than_its_end_is_found(
    later: Later, account: int
) -> None:
    """The status stays as it was; the balance transactions tell."""
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    await settling.settle(later.shop, "checkout.session", started.session_id)
    intent = await intent_of(later.shop, started.order_id)
    dispute = later.stripe.dispute(intent)
    later.stripe.dispute_step(dispute["id"], "win")
    shown = later.stripe.world.objects[dispute["id"]]
    moved = shown["balance_transactions"]
    shown["balance_transactions"] = moved[:1]
    await later.run("state")
    assert await later.balance(account) == 0

    later.advance(days=60)
    shown["balance_transactions"] = moved
    await later.run("state")

    assert await later.balance(account) == 100


async def test_a_withdrawal_that_leaves_a_disputes_status_as_it_was_is_found(
    later: Later, account: int
) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    await settling.settle(later.shop, "checkout.session", started.session_id)
    dispute = later.stripe.dispute(await intent_of(later.shop, started.order_id))
    later.stripe.dispute_step(dispute["id"], "lose")
    shown = later.stripe.world.objects[dispute["id"]]
    moved = shown["balance_transactions"]
    shown["balance_transactions"] = []
    await later.run("state")
    assert await later.balance(account) == 100

    shown["balance_transactions"] = moved
    await later.run("state")

    assert await later.balance(account) == 0


async def test_a_renewal_without_a_webhook_is_granted(later: Later, account: int) -> None:
    started = await buy(later.shop, account, "monthly")
    later.stripe.pay(started.session_id)
    await later.run("state")
    first = await later.balance(account)
    assert first == 500

    later.advance(days=32)
    await later.run("state")

    granted = await rows(later.shop, "SELECT * FROM billing.payment_grants")
    assert [row["credits"] for row in granted] == [500, 500]


async def test_what_others_sell_in_the_same_account_is_left_alone(
    later: Later, account: int
) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    elsewhere = dataclasses.replace(later.shop, installation="another")
    async with later.shop.ledger.database.connection() as connection:
        await connection.execute("DELETE FROM billing.orders")

    [report] = await reconciler.run(elsewhere, ["state"])

    assert report.looked_at == 0
    assert await alerts_of(elsewhere) == []


async def test_a_dry_run_tells_and_changes_nothing(later: Later, account: int) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    before = later.stripe.world.changes

    events, state, _ = await later.run(dry_run=True)

    assert events.outcomes["would_settle"] > 0
    assert any(started.session_id in note for note in state.notes)
    assert await rows(later.shop, "SELECT * FROM billing.inbox") == []
    assert await rows(later.shop, "SELECT * FROM billing.cursors") == []
    assert await later.balance(account) == 0
    assert later.stripe.world.changes == before


async def test_the_cursor_stays_when_stripe_goes_away(later: Later, account: int) -> None:
    await later.run("events", "state")
    cursors = await rows(later.shop, "SELECT * FROM billing.cursors ORDER BY name")
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)

    later.advance(minutes=20)
    later.stripe.fault(kind="error_before", count=1_000)
    for report in await later.run("events", "state"):
        assert not report.complete
    assert await rows(later.shop, "SELECT * FROM billing.cursors ORDER BY name") == cursors

    later.stripe.heal()
    await later.run("events")
    await inbox_worker.work(later.shop)
    assert await later.balance(account) == 100


async def test_a_pass_runs_when_its_time_has_come(later: Later) -> None:
    assert await reconciler.tick(later.shop, "events") is not None
    assert await reconciler.tick(later.shop, "events") is None
    later.advance(minutes=5)
    assert await reconciler.tick(later.shop, "events") is not None


async def test_a_clock_that_was_ahead_keeps_nothing_from_being_found(
    later: Later, account: int
) -> None:
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    later.clock.ahead_s = 40 * 24 * 3_600
    await later.run("events")
    later.clock.ahead_s = 0
    assert await inbox_worker.work(later.shop) == 0

    assert await reconciler.tick(later.shop, "events") is not None
    await inbox_worker.work(later.shop)

    assert await later.balance(account) == 100
    assert await reconciler.tick(later.shop, "events") is None, "the cursor is right again"


async def test_a_list_that_stripe_refuses_keeps_no_other_from_being_looked_at(
    later: Later, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restricted key may lack one permission."""
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    await settling.settle(later.shop, "checkout.session", started.session_id)
    later.stripe.refund(await intent_of(later.shop, started.order_id), 500)
    every = state_pass.listed

    def listed(method: Any, params: Any) -> Any:
        if isinstance(method.__self__, stripe.SubscriptionService):
            raise StripeRefused("no permission", status=403)
        return every(method, params)

    monkeypatch.setattr(state_pass, "listed", listed)

    [report] = await later.run("state")

    assert report.outcomes["failed"] == 1
    assert await later.balance(account) == 50
    assert await alerts_of(later.shop) == ["reconciler"]


async def test_a_pass_that_stripe_refuses_is_told_and_begins_again(
    later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*anything: Any) -> Any:
        raise StripeRefused("no permission", status=403)

    monkeypatch.setattr(reconciler, "listed", refuse)

    [report] = await later.run("events")

    assert not report.complete
    assert await alerts_of(later.shop) == ["reconciler"]
    assert await rows(later.shop, "SELECT * FROM billing.cursors") == []


async def test_an_order_that_meets_a_fault_of_ours_holds_up_no_other(
    later: Later, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_answer(later.stripe, "/v1/checkout/sessions")
    with pytest.raises(StripeUnavailable):
        await buy(later.shop, account)
    started = await buy(later.shop, account)
    later.stripe.pay(started.session_id)
    later.advance(minutes=20)

    async def faulty(*anything: Any) -> None:
        raise KeyError

    monkeypatch.setattr(checkout, "find", faulty)
    [report] = await later.run("state")

    assert report.outcomes["failed"] == 1
    assert await later.balance(account) == 100
