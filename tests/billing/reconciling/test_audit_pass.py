"""Both sides are compared; a difference is told and nothing is corrected."""

import dataclasses

import pytest

from billing import settling
from billing.reconciling import reconciler
from billing.reconciling.audit_pass import Booked, Charge, differences
from billing.shop import Shop
from ledger.ports import SystemClock
from tests.billing.conftest import applied, buy, rows
from tests.standin import RunningStandIn

CHARGE = Charge("ch_1", "pi_1", "usd", 1_000, ours=True)
BOOKED = Booked("cs_1", "ch_1", "pi_1", "usd", 1_000)


def kinds(charges: list[Charge], booked: list[Booked]) -> list[tuple[str, str]]:
    return [(each.kind, each.subject) for each in differences(charges, booked)]


def test_what_fits_is_no_difference() -> None:
    assert kinds([CHARGE], [BOOKED]) == []


def test_a_payment_is_found_by_its_intent_too() -> None:
    assert kinds([CHARGE], [dataclasses.replace(BOOKED, charge_id=None)]) == []


def test_a_charge_that_is_not_ours_does_not_count() -> None:
    assert kinds([dataclasses.replace(CHARGE, ours=False)], []) == []


def test_a_charge_of_an_invoice_counts_though_it_carries_no_mark() -> None:
    charge = dataclasses.replace(CHARGE, ours=False, captured_minor=900)
    assert ("charge-differs", "ch_1") in kinds([charge], [BOOKED])


def test_money_for_which_nothing_was_given_is_told() -> None:
    assert kinds([CHARGE], []) == [("charge-without-payment", "ch_1"), ("sums-differ", "usd")]


def test_a_payment_without_money_is_told() -> None:
    assert kinds([], [BOOKED]) == [("payment-without-charge", "cs_1"), ("sums-differ", "usd")]


def test_another_currency_is_told_with_both_sums() -> None:
    found = differences([dataclasses.replace(CHARGE, currency="jpy")], [BOOKED])

    assert [each.kind for each in found] == ["charge-differs", "sums-differ", "sums-differ"]
    assert found[0].detail == "1000 JPY was taken at Stripe, 10.00 USD is booked here."


class TomorrowClock(SystemClock):
    """A day later than the machine's: what was paid just now is no longer on its way."""

    def now_ms(self) -> int:
        return super().now_ms() + 24 * 3_600 * 1_000


@pytest.fixture
def tomorrow(shop: Shop) -> Shop:
    return dataclasses.replace(shop, clock=TomorrowClock())


async def bought(shop: Shop, account: int, stripe: RunningStandIn, package: str = "starter") -> str:
    started = await buy(shop, account, package)
    stripe.pay(started.session_id)
    await settling.settle(shop, "checkout.session", started.session_id)
    await applied(shop, account)
    return started.order_id


@pytest.fixture
async def order(shop: Shop, account: int, stripe_standin: RunningStandIn) -> str:
    """A purchase that went well."""
    return await bought(shop, account, stripe_standin)


async def audited(shop: Shop) -> dict[str, int]:
    [report] = await reconciler.run(shop, ["audit"])
    assert report.complete
    return dict(report.outcomes)


async def change(shop: Shop, statement: str) -> None:
    async with shop.ledger.database.connection() as connection:
        await connection.execute(statement)


@pytest.mark.anyio
async def test_purchases_that_went_well_are_no_difference(
    shop: Shop, order: str, tomorrow: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    await bought(shop, account, stripe_standin, "monthly")
    [row] = await rows(
        shop, "SELECT payment_intent_id FROM billing.payments WHERE order_id = $1", order
    )
    refund = stripe_standin.refund(row["payment_intent_id"], 333)
    await settling.settle(shop, "refund", refund["id"])
    await applied(shop, account)

    assert await audited(tomorrow) == {}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            "DELETE FROM billing.payment_grants; DELETE FROM billing.payments",
            {
                "order-without-payment": 1,
                "charge-without-payment": 1,
                "sums-differ": 1,
                "grant-without-payment": 1,
            },
        ),
        (
            "DELETE FROM billing.payment_grants",
            {"payment-without-grant": 1, "grant-without-payment": 1},
        ),
        (
            "UPDATE billing.payment_grants SET credits = credits - 1",
            {"grant-without-payment": 1},
        ),
        ("UPDATE billing.payments SET paid_minor = 999", {"charge-differs": 1, "sums-differ": 1}),
        (
            "UPDATE billing.payments SET charge_id = 'ch_x', payment_intent_id = 'pi_x'",
            {"charge-without-payment": 1, "payment-without-charge": 1},
        ),
        ("UPDATE billing.payment_grants SET clawed = 1, steps = 1", {"reversal-differs": 1}),
        ("UPDATE accounts SET cseq_applied = cseq_applied - 1", {"grant-not-applied": 1}),
    ],
    ids=[
        "no payment",
        "no grant",
        "other credits",
        "amount",
        "other charge",
        "clawed",
        "not applied",
    ],
)
async def test_each_difference_is_an_alert_and_is_left_as_it_is(
    tomorrow: Shop, order: str, damage: str, expected: dict[str, int]
) -> None:
    await change(tomorrow, damage)
    controls = await rows(tomorrow, "SELECT * FROM controls")

    assert await audited(tomorrow) == expected
    assert await audited(tomorrow) == expected

    alerts = await rows(tomorrow, "SELECT kind, times FROM billing.alerts")
    assert {row["kind"]: row["times"] for row in alerts} == dict.fromkeys(expected, 2)
    assert await rows(tomorrow, "SELECT * FROM controls") == controls


@pytest.mark.anyio
async def test_a_general_fault_is_counted_and_not_told_charge_by_charge(
    tomorrow: Shop,
    order: str,
    account: int,
    stripe_standin: RunningStandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("billing.reconciling.audit_pass.MOST_FOUND", 1)
    await bought(tomorrow, account, stripe_standin)
    await change(tomorrow, "DELETE FROM billing.payment_grants; DELETE FROM billing.payments")

    assert (await audited(tomorrow))["charge-without-payment"] == 2

    told = "SELECT count(*) AS n FROM billing.alerts WHERE kind = 'charge-without-payment'"
    assert await rows(tomorrow, told) == [{"n": 1}]


@pytest.mark.anyio
async def test_a_payment_of_a_moment_ago_is_still_on_its_way(shop: Shop, order: str) -> None:
    await change(shop, "DELETE FROM billing.payment_grants; DELETE FROM billing.payments")
    await change(shop, "UPDATE billing.orders SET state = 'open'")

    assert await audited(shop) == {}
