"""
Selling: what is bought, renewed, topped up, given back and disputed, each credit moved once.

Stripe's stand-in is a process of its own, which outlives whoever dies. Every scenario ends with the
balance that Stripe's objects make due; who follows on hears everything once more, hours later.
"""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from billing import settling
from billing.billing import Billing
from billing.customer import cards, customers
from billing.errors import BillingError, StateConflict
from billing.events import inbox_worker
from billing.events.webhook import accept
from billing.purchases.checkout import Purchase, start, start_setup
from billing.reconciling import reconciler
from billing.reversing import money_back
from billing.shop import Shop
from billing.standin.envelope import signature
from billing.stripe_door import API_VERSION
from billing.topup import topup_settings, topups
from billing.topup.topup_settings import Wanted
from config import Settings, load_price_list
from gateway.operations import inbox as inbox_by_people
from gateway.operations import orders as orders_by_people
from gateway.operations import subscriptions as subscriptions_by_people
from gateway.operations.desk import Desk
from ledger.ledger import Ledger
from tests.failpoints.run import CLOCK, FUNDS, BriskClock, Run, Scenario, until
from tests.flows.purchase_rig import AGE, EACH, PRICES, SECRET
from tests.flows.purchase_truth import DAILY, REFILL, STARTER

GIFT = f"""
  gift: {{ name: Gift, credits: {EACH}, price: {{ usd: {STARTER[1]} }}, promotion_codes: true }}
"""
_OLDER_ORDERS = """
UPDATE billing.orders SET created_at = created_at - interval '{} s' WHERE account_id = $1
"""
_OLDER_REFUNDS = """
UPDATE billing.refunds AS r SET created_at = r.created_at - interval '{} s'
  FROM billing.payments AS p WHERE p.id = r.payment_id AND p.account_id = $1
"""
OLDER = (_OLDER_ORDERS, _OLDER_REFUNDS)
LATER_S = 7_200
"""Whoever follows on comes so much later: leases and rests are over."""


class LaterClock(BriskClock):
    """The machine's clock, two hours ahead."""

    def now_us(self) -> int:
        return super().now_us() + LATER_S * 1_000_000

    def now_ms(self) -> int:
        return self.now_us() // 1_000


class Market:
    """A shop, and the world on the other side."""

    def __init__(self, run: Run, billing: Billing, outside: httpx.AsyncClient) -> None:
        self.run = run
        self.billing = billing
        self.outside = outside
        self.shop: Shop = billing.need()
        self.account = run.customers[0].account

    async def do(self, name: str, **given: Any) -> Any:
        """What a buyer, a bank or the dashboard does; a repeat that is refused was done before."""
        answer = await self.outside.post(f"/_control/{name}", json=given)
        assert answer.status_code == 200 or self.repeats, answer.text
        return answer.json()

    async def silence(self, path: str) -> None:
        """Stripe does the next thing asked for there, and its answers do not come."""
        await self.do("fault", kind="cut_after", path=path, method="POST", count=1)
        await self.do("fault", kind="cut_before", path=path, method="POST", count=20)

    @property
    def repeats(self) -> bool:
        return not self.run.dying

    async def look(self, path: str, **query: Any) -> Any:
        """An object at Stripe."""
        answer = await self.outside.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def events(self) -> list[dict[str, Any]]:
        """What is new at Stripe since this life's first day, the oldest first."""
        found = (await self.look("/v1/events", limit=100))["data"]
        old = set(self.run.done["news"])
        return [event for event in reversed(found) if event["id"] not in old]

    async def deliver(self) -> None:
        """Every event since then, whether it was delivered before or not; and work on them."""
        now_s = self.shop.clock.now_ms() // 1_000
        for event in await self.events():
            body = json.dumps(event).encode()
            await accept(self.shop, body, signature(body, now_s, [SECRET]))
        await inbox_worker.work(self.shop)

    async def pass_time(self) -> None:
        """Have what was asked for be older; Postgres' clock cannot be moved."""
        async with self.shop.ledger.database.connection() as connection:
            await connection.execute(AGE.format(f"interval '{LATER_S} s'"))
            for statement in OLDER:
                await connection.execute(statement.format(LATER_S), self.account)

    async def buy(self, package: str = "starter", quantity: int = 1) -> str:
        """An order, paid on Stripe's page; returns its session."""

        async def ordered() -> list[str]:
            purchase = Purchase(package=package, quantity=quantity)
            started = await start(self.shop, self.account, purchase)
            return [started.session_id, started.order_id]

        session: str = (await self.run.step("ordered", ordered))[0]
        await self.run.step("paid", lambda: self.do("pay", session=session))
        return session

    async def intent_of(self, session: str) -> str:
        return str((await self.look(f"/v1/checkout/sessions/{session}"))["payment_intent"])

    async def step(self, name: str, do: Callable[[], Awaitable[object]]) -> None:
        """A step of which nothing has to be kept."""

        async def done() -> None:
            await do()

        await self.run.step(name, done)


@asynccontextmanager
async def market(run: Run) -> AsyncIterator[Market]:
    """A shop on this stage; from the moment it opens the process may die."""
    async with httpx.AsyncClient(
        base_url=run.stage.standin_url,
        headers={
            "Authorization": f"Bearer {run.stage.standin_key}",
            "Stripe-Version": API_VERSION,
        },
        timeout=30,
    ) as outside:

        async def known() -> list[str]:
            answer = await outside.get("/v1/events", params={"limit": 100})
            return [event["id"] for event in answer.json()["data"]]

        await run.step("news", known)
        run.begin()
        async with run.ledger() as ledger:
            billing = await _opened(run, ledger)
            place = Market(run, billing, outside)
            try:
                yield place
                await place.step("posted", lambda: _posted(ledger))
                if not run.dying:
                    await _later(place)
            finally:
                await billing.aclose()


async def _opened(run: Run, ledger: Ledger) -> Billing:
    prices = load_price_list(f"{PRICES}{GIFT}", environ={})
    return await Billing.open(
        Settings.from_environment(
            {},
            stripe_secret_key=run.stage.standin_key,
            stripe_webhook_secrets=(SECRET,),
            stripe_api_base=run.stage.standin_url,
        ),
        ledger,
        prices=lambda: prices,
        pages_url="http://127.0.0.1:9/farebox",
        link_secret=b"links",
        clock=CLOCK if run.dying else LaterClock(),
        random_bytes=os.urandom,
    )


async def _posted(ledger: Ledger) -> None:
    await ledger.pusher.poll()
    await ledger.post_all()


async def _later(place: Market) -> None:
    """Hours later everything is heard once more, and what has no answer is asked about."""
    await place.pass_time()
    await place.deliver()
    await money_back.look_again(place.shop)
    await topups.look_again(place.shop)
    await reconciler.run(place.shop, ["events"])
    await until(lambda: _nothing_waits(place))
    await _posted(place.shop.ledger)
    stuck = await _rows(
        place,
        "SELECT type, object_id, status, outcome FROM billing.inbox"
        " WHERE status IN ('dead', 'quarantined') AND outcome NOT LIKE '%by hand%'",
    )
    assert stuck == [], stuck


async def _nothing_waits(place: Market) -> bool:
    await inbox_worker.work(place.shop)
    waiting = await _rows(
        place,
        "SELECT event_id AS what FROM billing.inbox WHERE status IN ('received', 'failed')"
        " UNION ALL SELECT id FROM billing.refunds WHERE state = 'asking'"
        " UNION ALL SELECT id FROM billing.topup_attempts"
        " WHERE state IN ('created', 'confirming', 'unknown')",
    )
    if waiting:
        await place.pass_time()
        async with place.shop.ledger.database.connection() as connection:
            await connection.execute(
                "UPDATE billing.inbox SET next_try_at = next_try_at - interval '2 h'"
                " WHERE status IN ('received', 'failed')"
            )
        await money_back.look_again(place.shop)
        await topups.look_again(place.shop)
    return not waiting


async def _rows(place: Market, statement: str, *values: Any) -> list[Any]:
    async with place.shop.ledger.database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(statement, *values)]


async def a_purchase(run: Run) -> None:
    """Ordered, paid, delivered; the buyer comes back as well."""
    async with market(run) as place:
        session = await place.buy(quantity=2)
        await place.step("delivered", place.deliver)
        await place.step(
            "came back", lambda: settling.settle(place.shop, "checkout.session", session)
        )
        run.put_in[place.account] += 2 * EACH


async def a_slow_payment(run: Run) -> None:
    """The bank takes days, and says yes; another page is left alone until it expires."""
    async with market(run) as place:

        async def ordered() -> list[str]:
            found = [
                await start(place.shop, place.account, Purchase(package="starter"))
                for _ in range(3)
            ]
            return [each.session_id for each in found]

        slow, refused, left = await run.step("ordered", ordered)
        for session in (slow, refused):
            await place.step(
                f"slow {session}", lambda session=session: place.do("pay_slowly", session=session)
            )
        await place.step("left", lambda: place.do("expire", session=left))
        await place.step("delivered", place.deliver)
        await place.step("yes", lambda: place.do("finish_payment", session=slow, succeeds=True))
        await place.step("no", lambda: place.do("finish_payment", session=refused, succeeds=False))
        await place.step("delivered again", place.deliver)
        run.put_in[place.account] += EACH


async def a_refund_at_stripe(run: Run) -> None:
    """The dashboard gives a third back, and later the rest; one refund fails after all."""
    async with market(run) as place:
        session = await place.buy()
        await place.step("delivered", place.deliver)
        intent = await place.intent_of(session)
        # An event of it may have come before its payment was booked; not so this look at it.
        await place.step("seen", lambda: settling.settle(place.shop, "payment_intent", intent))
        await place.step("third", lambda: place.do("refund", payment_intent=intent, amount=333))
        await place.step("told", place.deliver)
        await place.step(
            "more", lambda: place.do("refund", payment_intent=intent, amount=500, status="pending")
        )
        await place.step("told more", place.deliver)

        async def failed() -> None:
            found = await place.look("/v1/refunds", payment_intent=intent)
            [pending] = [one for one in found["data"] if one["amount"] == 500]
            await place.do("set_refund_status", refund=pending["id"], status="failed")

        await place.step("failed", failed)
        await place.step("told again", place.deliver)
        run.put_in[place.account] += EACH - EACH * 333 // STARTER[1]


async def money_back_by_an_admin(run: Run) -> None:
    """Asked for by its reference, so that a repeat gives nothing more back."""
    async with market(run) as place:
        await place.buy()
        order = run.done["ordered"][1]
        await place.step("delivered", place.deliver)
        draft = orders_by_people.MoneyBackDraft(amount_minor=333, reference=f"back {order}")
        await place.step(
            "back", lambda: orders_by_people.give_back(place.shop, order, draft, actor="admin")
        )
        await place.step("looked again", lambda: money_back.look_again(place.shop))
        await place.step("told", place.deliver)
        await place.step("shown", lambda: orders_by_people.show(place.shop, order))
        await place.step(
            "listed", lambda: orders_by_people.listed(place.shop, orders_by_people.OrderQuery())
        )
        run.put_in[place.account] += EACH - EACH * 333 // STARTER[1]


async def a_dispute(run: Run) -> None:
    """The bank takes the money; the account is frozen until it is decided, here for the buyer."""
    async with market(run) as place:
        session = await place.buy()
        await place.step("delivered", place.deliver)
        intent = await place.intent_of(session)
        await place.step("warned", lambda: place.do("warn", payment_intent=intent))
        await place.step("disputed", lambda: place.do("dispute", payment_intent=intent))
        await place.step("told", place.deliver)

        async def lost() -> None:
            found = await place.look("/v1/disputes", payment_intent=intent)
            await place.do("dispute_step", dispute=found["data"][0]["id"], step="lose")

        await place.step("lost", lost)
        await place.step("told again", place.deliver)


async def a_dispute_that_is_won(run: Run) -> None:
    """The money comes back, and the credits with it."""
    async with market(run) as place:
        session = await place.buy()
        await place.step("delivered", place.deliver)
        intent = await place.intent_of(session)
        await place.step("disputed", lambda: place.do("dispute", payment_intent=intent))
        await place.step("told", place.deliver)

        async def won() -> None:
            found = await place.look("/v1/disputes", payment_intent=intent)
            await place.do("dispute_step", dispute=found["data"][0]["id"], step="win")

        await place.step("won", won)
        await place.step("told again", place.deliver)
        run.put_in[place.account] += EACH


async def a_subscription(run: Run) -> None:
    """Its first invoice gives credits, so does a larger quantity; then it ends."""
    async with market(run) as place:
        session = await place.buy("daily")

        async def found() -> str:
            return str((await place.look(f"/v1/checkout/sessions/{session}"))["subscription"])

        async def invoiced() -> None:
            paid = (await place.look(f"/v1/subscriptions/{subscription}"))["latest_invoice"]
            await settling.settle(place.shop, "invoice", paid)

        subscription = await run.step("found", found)
        await place.step("its invoice first", invoiced)
        await place.step("delivered", place.deliver)
        query = subscriptions_by_people.SubscriptionQuery()
        await place.step("listed", lambda: subscriptions_by_people.listed(place.shop, query))
        await place.step(
            "own", lambda: subscriptions_by_people.of_account(place.shop, place.account, query)
        )
        await place.step(
            "ends later",
            lambda: subscriptions_by_people.cancel(
                place.shop,
                subscription,
                subscriptions_by_people.CancelQuery(when="period-end"),
                owner=place.account,
            ),
        )
        await place.step("told", place.deliver)
        await place.step(
            "ends now",
            lambda: _cancelled(place.shop, subscription),
        )
        await place.step("told again", place.deliver)
        run.put_in[place.account] += DAILY[0]


async def _cancelled(shop: Shop, subscription: str) -> None:
    now = subscriptions_by_people.CancelQuery(when="now")
    try:
        await subscriptions_by_people.cancel_any(shop, subscription, now, actor="admin")
    except BillingError as refused:
        if "ended" not in str(refused) and "canceled" not in str(refused):
            raise


async def a_top_up(run: Run) -> None:
    """A saved card is charged once when the balance is low."""
    async with market(run) as place:
        await _with_card(place)
        await place.step("agreed", lambda: _agreed(place))
        await place.step("topped up", lambda: topups.scan(place.shop))
        await place.step("told", place.deliver)
        await place.step("later", place.pass_time)
        await place.step("looked again", lambda: topups.look_again(place.shop))
        await place.step("told of it", place.deliver)
        await place.step("posted first", lambda: _posted(place.shop.ledger))
        await place.step("not again", lambda: topups.scan(place.shop))
        await place.step("ended", lambda: _disabled(place))
        run.put_in[place.account] += REFILL[0]


async def a_top_up_without_an_answer(run: Run) -> None:
    """The charge was made, and nobody heard so: it is found, and not made twice."""
    async with market(run) as place:
        await _with_card(place)
        await place.step("agreed", lambda: _agreed(place))
        await place.step("silence", lambda: place.silence("/v1/payment_intents"))
        await place.step("topped up", lambda: topups.scan(place.shop))
        await place.step("healed", lambda: place.do("heal"))
        await place.step("later", place.pass_time)
        await place.step("looked again", lambda: topups.look_again(place.shop))
        await place.step("told", place.deliver)
        await place.step("ended", lambda: _disabled(place))
        run.put_in[place.account] += REFILL[0]


async def a_declined_top_up(run: Run) -> None:
    """The bank says no: nothing is given, and it rests."""
    async with market(run) as place:
        await _with_card(place, "4000000000000341")
        await place.step("agreed", lambda: _agreed(place))
        await place.step("tried", lambda: topups.scan(place.shop))
        await place.step("told", place.deliver)
        await place.step("ended", lambda: _disabled(place))


async def _with_card(place: Market, number: str = "4242424242424242") -> None:
    async def customer() -> str:
        return await customers.customer_of(place.shop, place.account)

    named = await place.run.step("customer", customer)

    async def saved() -> str:
        return str((await place.do("save_card", customer=named, card=number))["id"])

    card = await place.run.step("card", saved)
    await place.step("settled card", lambda: cards.settle(place.shop, card))
    await place.step("listed cards", lambda: cards.listed(place.shop, place.account))
    await place.step("default", lambda: cards.make_default(place.shop, place.account, card))


async def _agreed(place: Market) -> None:
    wanted = Wanted(
        package="refill",
        threshold=FUNDS + 20,
        most_minor_month=100_000,
        most_count_day=10,
        consent=True,
    )
    await topup_settings.put(place.shop, place.account, wanted)


async def _disabled(place: Market) -> None:
    async with place.shop.ledger.database.connection() as connection:
        await topup_settings.disable(connection, place.account, place.shop.livemode)


async def cards_and_customers(run: Run) -> None:
    """A page to save a card, a card taken away, a customer deleted at Stripe."""
    async with market(run) as place:
        await _with_card(place)
        card = run.done["card"]
        await place.step("page", lambda: start_setup(place.shop, place.account))
        await place.step("away", lambda: _detached(place, card))
        await place.step("told", place.deliver)
        customer = run.done["customer"]
        await place.step("settled", lambda: customers.settle(place.shop, customer))


async def _detached(place: Market, card: str) -> None:
    if any(each.id == card for each in await cards.listed(place.shop, place.account)):
        await cards.detach(place.shop, place.account, card)


async def what_nobody_delivered(run: Run) -> None:
    """No event comes: the reconciler finds the purchase, and what was refunded of it."""
    async with market(run) as place:
        intent = await place.intent_of(await place.buy())
        await place.step("refunded", lambda: place.do("refund", payment_intent=intent, amount=333))
        for name in ("events", "state", "audit"):
            await place.step(name, lambda name=name: reconciler.run(place.shop, [name]))
        for name in reconciler.PASSES:
            await place.step(f"tick {name}", lambda name=name: reconciler.tick(place.shop, name))
        await place.step("forgotten", place.billing._forget_events)
        run.put_in[place.account] += EACH - EACH * 333 // STARTER[1]


async def found_without_events(run: Run) -> None:
    """A subscription, a purchase, its refund and its dispute, of which no event ever comes."""
    async with market(run) as place:
        session = await place.buy()

        async def subscribed() -> str:
            purchase = Purchase(package="daily")
            return (await start(place.shop, place.account, purchase)).session_id

        async def look() -> None:
            await reconciler.run(place.shop, ["state"])

        daily = await run.step("subscribed", subscribed)
        await place.step("paid for it", lambda: place.do("pay", session=daily))
        await place.step("found", look)
        intent = await place.intent_of(session)
        await place.step("refunded", lambda: place.do("refund", payment_intent=intent, amount=333))
        await place.step("found the refund", look)
        await place.step("disputed", lambda: place.do("dispute", payment_intent=intent))
        await place.step("found the dispute", look)

        async def won() -> None:
            found = await place.look("/v1/disputes", payment_intent=intent)
            await place.do("dispute_step", dispute=found["data"][0]["id"], step="win")

        await place.step("won", won)
        await place.step("found it won", look)
        run.put_in[place.account] += EACH - EACH * 333 // STARTER[1] + DAILY[0]


async def events_by_people(run: Run) -> None:
    """Looked at, tried again, and closed by hand."""
    async with market(run) as place:
        await place.buy()
        await place.step("delivered", place.deliver)
        database, admin = (
            place.shop.ledger.database,
            Desk(place.shop.ledger, "admin", os.urandom, "http://127.0.0.1/farebox"),
        )

        async def looked() -> None:
            query = inbox_by_people.InboxQuery(status="any")
            page = await inbox_by_people.listed(database, query)
            await inbox_by_people.show(database, page.items[0].id)

        async def put_aside() -> int:
            async with database.connection() as connection:
                number: int = await connection.fetchval(
                    "UPDATE billing.inbox SET status = 'quarantined' WHERE id ="
                    " (SELECT max(id) FROM billing.inbox) RETURNING id"
                )
            return number

        await place.step("looked", looked)
        number = await run.step("aside", put_aside)

        async def again() -> None:
            async with database.connection() as connection:
                status = await connection.fetchval(
                    "SELECT status FROM billing.inbox WHERE id = $1", number
                )
            if status == "quarantined":
                await inbox_by_people.retry(admin, number)

        async def closed() -> None:
            async with database.connection() as connection:
                status = await connection.fetchval(
                    "SELECT status FROM billing.inbox WHERE id = $1", number
                )
            if status in ("received", "failed", "quarantined"):
                why = inbox_by_people.Dismissal(reason="by hand")
                await inbox_by_people.dismiss(admin, number, why)

        await place.step("again", again)
        await place.step("closed", closed)
        await place.step("worked", lambda: inbox_worker.work(place.shop))
        run.put_in[place.account] += EACH


async def answers_that_are_lost(run: Run) -> None:
    """Stripe opened the page, and gave the money back, and nobody heard so."""
    async with market(run) as place:

        async def unheard() -> None:
            try:
                await start(place.shop, place.account, Purchase(package="starter"))
            except BillingError:
                return

        async def opened() -> str:
            found = (await place.look("/v1/checkout/sessions", limit=100))["data"]
            mine = [
                each for each in found if each["metadata"].get("account") == f"acc_{place.account}"
            ]
            assert mine, [each["metadata"] for each in found]
            return str(mine[-1]["id"])

        async def asked() -> None:
            try:
                await money_back.refund(
                    place.shop, session, 333, actor="admin", reference=f"lost {place.account}"
                )
            except BillingError:
                return

        await place.step("no page", lambda: place.silence("/v1/checkout/sessions"))
        await place.step("ordered", unheard)
        await place.step("healed", lambda: place.do("heal"))
        await place.step("later", place.pass_time)
        await place.step("looked", lambda: reconciler.run(place.shop, ["state"]))
        session = await run.step("opened", opened)
        await place.step("paid", lambda: place.do("pay", session=session))
        await place.step("delivered", place.deliver)
        await place.step("no refund", lambda: place.silence("/v1/refunds"))
        await place.step("asked", asked)
        await place.step("healed again", lambda: place.do("heal"))
        await place.step("later again", place.pass_time)
        await place.step("looked again", lambda: money_back.look_again(place.shop))
        await place.step("looked at all", lambda: reconciler.run(place.shop, ["state"]))
        await place.step("told", place.deliver)
        run.put_in[place.account] += EACH - EACH * 333 // STARTER[1]


async def a_review(run: Run) -> None:
    """Nothing was left to pay: a person decides that the credits are given."""
    async with market(run) as place:

        async def ordered() -> list[str]:
            started = await start(place.shop, place.account, Purchase(package="gift"))
            return [started.session_id, started.order_id]

        async def promotion() -> str:
            coupon = await place.outside.post(
                "/v1/coupons", data={"duration": "once", "percent_off": "100"}
            )
            code = await place.outside.post(
                "/v1/promotion_codes",
                data={"promotion[type]": "coupon", "promotion[coupon]": coupon.json()["id"]},
            )
            return str(code.json()["code"])

        async def approved() -> None:
            try:
                await orders_by_people.approve(place.shop, order, actor="admin")
            except StateConflict:
                return  # it was approved before

        session, order = await run.step("ordered", ordered)
        code = await run.step("promotion", promotion)
        await place.step(
            "paid",
            lambda: place.do("pay", session=session, card=None, promotion_code=code),
        )
        await place.step("delivered", place.deliver)
        await place.step("approved", approved)
        run.put_in[place.account] += EACH


async def a_purchase_of_nobody(run: Run) -> None:
    """A page made in the dashboard: a person says whose it is."""
    async with market(run) as place:

        async def made() -> str:
            line = "line_items[0][price_data]"
            given = {
                "mode": "payment",
                "success_url": "https://example.com",
                f"{line}[currency]": "usd",
                f"{line}[unit_amount]": str(STARTER[1]),
                f"{line}[product_data][name]": "A link",
                "line_items[0][quantity]": "1",
            }
            answer = await place.outside.post("/v1/checkout/sessions", data=given)
            return str(answer.json()["id"])

        async def attached() -> None:
            [[number]] = await _rows(
                place,
                "SELECT id FROM billing.inbox WHERE object_id = $1"
                " AND type = 'checkout.session.completed'",
                session,
            )
            attachment = inbox_by_people.Attachment(
                account=f"acc_{place.account}", package="starter"
            )
            try:
                await inbox_by_people.attach(place.shop, number, attachment, actor="admin")
            except StateConflict:
                return  # it was attached before

        session = await run.step("made", made)
        await place.step("paid", lambda: place.do("pay", session=session))
        await place.step("delivered", place.deliver)
        await place.step("attached", attached)
        run.put_in[place.account] += EACH


async def signs_of_fraud(run: Run) -> None:
    """The bank warns, Stripe reviews and approves: an account is frozen meanwhile."""
    async with market(run) as place:
        session = await place.buy()
        await place.step("delivered", place.deliver)
        intent = await place.intent_of(session)

        async def reviewed() -> str:
            return str((await place.do("open_review", payment_intent=intent))["id"])

        await place.step("warned", lambda: place.do("warn", payment_intent=intent))
        await place.step("told", place.deliver)
        review = await run.step("review", reviewed)
        await place.step("told of the review", place.deliver)
        await place.step("closed", lambda: place.do("close_review", review=review))
        await place.step("told again", place.deliver)
        run.put_in[place.account] += EACH


async def an_invoice_that_is_not_paid(run: Run) -> None:
    """A period's payment is refused: no credits, until the buyer pays after all."""
    async with market(run) as place:
        session = await place.buy("daily")
        await place.step("delivered", place.deliver)

        async def found() -> str:
            return str((await place.look(f"/v1/checkout/sessions/{session}"))["subscription"])

        async def renewed() -> str:
            return str((await place.do("renew", subscription=subscription))["id"])

        subscription = await run.step("found", found)
        await place.step("refused", lambda: place.do("refuse_payments", subscription=subscription))
        invoice = await run.step("renewed", renewed)
        await place.step("told", place.deliver)
        await place.step("paid after all", lambda: place.do("pay_invoice", invoice=invoice))
        await place.step("told of it", place.deliver)
        await place.step("ends now", lambda: _cancelled(place.shop, subscription))
        await place.step("told of the end", place.deliver)

        async def noted() -> None:
            data = {"invoice": invoice, "refund_amount": "500"}
            await place.outside.post("/v1/credit_notes", data=data)

        await place.step("noted", noted)
        await place.step("told of the note", place.deliver)
        run.put_in[place.account] += 2 * DAILY[0] - DAILY[0] * 500 // DAILY[1]


SCENARIOS: tuple[Scenario, ...] = (
    a_purchase,
    a_slow_payment,
    a_refund_at_stripe,
    money_back_by_an_admin,
    a_dispute,
    a_dispute_that_is_won,
    a_subscription,
    a_top_up,
    a_top_up_without_an_answer,
    a_declined_top_up,
    cards_and_customers,
    what_nobody_delivered,
    found_without_events,
    events_by_people,
    answers_that_are_lost,
    a_review,
    a_purchase_of_nobody,
    signs_of_fraud,
    an_invoice_that_is_not_paid,
)
