"""
One case of the promise about purchases: anything happens in any order, then it is quiet.

Buyers pay, banks refuse and take back, subscriptions renew, saved cards are charged, the dashboard
refunds; deliveries come twice, late, in another order or never; the success page, operators and
the reconciler ask meanwhile; and what we do ends in the middle, again and again. Afterwards the
ledger must be what Stripe's final state says: see `purchase_truth`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from billing import settling
from billing.customer import cards, customers
from billing.errors import BillingError
from billing.events import inbox_worker
from billing.purchases.checkout import Purchase, start
from billing.reconciling import reconciler
from billing.reconciling.pass_report import PassName
from billing.reversing import money_back
from billing.standin.faults import FaultKind
from billing.topup import topup_settings, topups
from billing.topup.topup_settings import Wanted
from tests.flows.purchase_dying import until_death
from tests.flows.purchase_outside import Outside
from tests.flows.purchase_rig import Rig
from tests.flows.purchase_truth import Sale

STEPS_OF_A_CASE = (12, 40)
QUIET_ROUNDS = 40
A_RETRY_LATER_S = 2 * 3_600.0
MONTHLY_CAP_MINOR = 100_000

LOST_ANSWERS: Sequence[FaultKind] = ("error_after", "cut_after", "error_before", "cut_before")
FAULTS: Sequence[FaultKind] = ("error_after", "cut_after", "error_before", "rate_limited")
PASSES: Sequence[PassName] = ("events", "state")


@dataclass
class Case:
    """One case; `log` tells what happened, for whoever has to find out why it failed."""

    rig: Rig
    seed: int
    accounts: list[int] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    topping: list[int] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.outside = Outside(self.rig, self.chance, self.accounts, self.sales)

    async def run(self) -> None:
        """Play the case to its end and check Postgres; the books are checked by the caller."""
        self.rig.world.heard.clear()
        for _ in range(self.chance.randint(1, 2)):
            await self._account()
        for _ in range(self.chance.randint(1, 3)):
            await self._order()
        for _ in range(self.chance.randint(*STEPS_OF_A_CASE)):
            if self.chance.random() < 0.5:
                self.log.append(await self.outside.happens())
                self._hear()
            else:
                await self._inside()
        await self._quiet()
        await self._check()

    async def _account(self) -> None:
        account = await self.rig.account()
        self.accounts.append(account)
        if self.chance.random() < 0.5:
            customer = await customers.customer_of(self.rig.shop, account)
            card = self.rig.do("save_card", customer=customer)["id"]
            await cards.settle(self.rig.shop, card)
            self.outside.cards.append(card)
            self.topping.append(account)
            await self._agree(account)

    async def _agree(self, account: int) -> object:
        """Have an account ask for automatic top-up, be it the first time or after a pause."""
        wanted = Wanted(
            package=self.chance.choice(["refill", "refill", "starter"]),
            threshold=self.chance.choice([20, 120, 250]),
            most_minor_month=MONTHLY_CAP_MINOR,
            most_count_day=100,
            consent=True,
        )
        return await topup_settings.put(self.rig.shop, account, wanted)

    async def _order(self) -> None:
        account = self.chance.choice(self.accounts)
        package = self.chance.choice(["starter", "starter", "daily"])
        purchase = Purchase(package=package, quantity=self.chance.randint(1, 3))
        started = await start(self.rig.shop, account, purchase)
        self.sales.append(Sale(account, started.order_id, started.session_id))

    def _hear(self) -> None:
        self.waiting += self.rig.world.heard
        self.rig.world.heard.clear()

    # What we do

    async def _inside(self) -> None:
        """Do one thing, or a few at once; each may end in the middle."""
        at_once = self.chance.choice([1, 1, 2, 3])
        await asyncio.gather(*(self._one_thing() for _ in range(at_once)))
        self._hear()

    async def _one_thing(self) -> None:
        does: Callable[[], Coroutine[Any, Any, object]] = self.chance.choices(
            [self._deliver, self._work, self._visit, self._operator, self._reconcile,
             self._money_back, self._look_again, self._top_up, self._ask_again, self._post],
            [8, 6, 3, 8, 0.5, 2, 2, 4, 0.5, 1],
        )[0]  # fmt: skip
        if self.chance.random() < 0.1:
            kind = self.chance.choice(FAULTS)
            self.rig.world.faults.add(kind, count=self.chance.choice([1, 1, 4]))
        waits = self.chance.choice([None, None, self.chance.randint(0, 60)])
        try:
            if waits is None or does == self._post:
                said = await does()
            else:
                said = await until_death(does(), waits)
        except BillingError as refused:
            said = f"{type(refused).__name__}: {refused}"
        self.log.append(f"{does.__name__} (dies at {waits}): {said}")

    async def _deliver(self) -> object:
        if not self.waiting:
            return "nothing"
        event = self.chance.choice(self.waiting)
        if self.chance.random() < 0.8:
            self.waiting.remove(event)
        if self.chance.random() < 0.15:
            return f"dropped {event['type']}"
        await self.rig.deliver(event)
        return event["type"]

    async def _work(self) -> object:
        return await inbox_worker.work(self.rig.shop)

    async def _visit(self) -> object:
        return await settling.settle(self.rig.shop, "checkout.session", self.outside.session())

    async def _operator(self) -> object:
        """Settle some object by hand."""
        truth, outside = self.outside.truth, self.outside
        intents = outside.intents()
        named = {
            "payment_intent": intents,
            "refund": [one["id"] for one in truth.of_intents("refund", intents)],
            "dispute": [one["id"] for one in truth.of_intents("dispute", intents)],
            "invoice": [bill["id"] for _, bill in truth.bills()],
            "subscription": [each["id"] for _, each in truth.subscriptions()],
        }
        kinds = [kind for kind in named if named[kind]]
        if not kinds:
            return "nothing"
        kind = self.chance.choice(kinds)
        return await settling.settle(self.rig.shop, kind, self.chance.choice(named[kind]))

    async def _reconcile(self) -> object:
        name = self.chance.choice(PASSES)
        [report] = await reconciler.run(self.rig.shop, [name])
        return name, report.outcomes

    async def _money_back(self) -> object:
        sold = self.outside.truth.sold()
        names = [each.object_id for each in sold] + [sale.order_id for sale in self.sales]
        amount = self.chance.choice([None, 100, self.chance.randint(1, 1_200)])
        shop = self.rig.shop
        return await money_back.refund(shop, self.chance.choice(names), amount, actor="test")

    async def _look_again(self) -> object:
        await topups.look_again(self.rig.shop)
        return await money_back.look_again(self.rig.shop)

    async def _top_up(self) -> object:
        if self.chance.random() < 0.4:
            kind = self.chance.choice(LOST_ANSWERS)
            times = self.chance.choice([1, 3])  # the SDK asks three times
            self.rig.world.faults.add(kind, "/v1/payment_intents", method="POST", count=times)
        return await topups.scan(self.rig.shop)

    async def _ask_again(self) -> object:
        return await self._agree(self.chance.choice(self.topping)) if self.topping else "nobody"

    async def _post(self) -> object:
        await self.rig.post()
        return "posted"

    # The end

    async def _quiet(self) -> None:
        """Let everything arrive: by the deliveries that are left, or without any by the reconciler."""
        shop = self.rig.shop
        self.rig.world.faults.clear()
        if self.chance.random() < 0.5:
            await self._no_more_top_ups()
        await self.outside.wind_up()
        if self.chance.random() < 0.5:
            # What got no answer is asked about again before any event can tell.
            await self._look_again()
        self._hear()
        delivered = self.chance.random() < 0.5
        self.log.append(f"quiet, {'delivered' if delivered else 'reconciled'}")
        if delivered:
            self.chance.shuffle(self.waiting)
            for event in self.waiting:
                await self.rig.deliver(event)
        await reconciler.run(shop, ["events"])
        for _ in range(QUIET_ROUNDS):
            await self.rig.pass_time(A_RETRY_LATER_S)
            await inbox_worker.work(shop)
            await money_back.look_again(shop)
            await topups.look_again(shop)
            # What looking again has asked for is news as well.
            await reconciler.run(shop, ["events"])
            if not await self._unfinished():
                break
        else:
            raise AssertionError(f"it does not become quiet: {await self._unfinished()}")
        await self._no_more_top_ups()

    async def _no_more_top_ups(self) -> None:
        async with self.rig.ledger.database.connection() as connection:
            for account in self.topping:
                await topup_settings.disable(connection, account, self.rig.shop.livemode)

    async def _unfinished(self) -> list[str]:
        rows = await self._rows(
            "SELECT event_id || ' ' || type || ' ' || outcome AS what FROM billing.inbox"
            " WHERE status IN ('received', 'failed')"
            " UNION ALL SELECT id || ' ' || state FROM billing.refunds WHERE state = 'asking'"
            " UNION ALL SELECT id || ' ' || state FROM billing.topup_attempts"
            " WHERE state IN ('created', 'confirming', 'unknown')"
        )
        return [row["what"] for row in rows]

    async def _check(self) -> None:
        truth = self.outside.truth
        stuck = await self._rows(
            "SELECT type, object_id, outcome FROM billing.inbox"
            " WHERE status IN ('dead', 'quarantined')"
        )
        assert stuck == []
        grants = await self._rows(
            "SELECT p.object_id AS of, g.object_id AS part, g.credits, g.clawed"
            " FROM billing.payments p JOIN billing.payment_grants g ON g.payment_id = p.id"
            " WHERE p.account_id = ANY($1)",
            self.accounts,
        )
        found = {(row["of"], row["part"]): (row["credits"], row["clawed"]) for row in grants}
        assert found == truth.grants()
        assert len(found) == len(grants)
        await self._check_controls({part for _, part in found})
        await self._check_top_ups()

    async def _check_controls(self, parts: set[str]) -> None:
        """What the ledger was told: each part once, and in all what is due."""
        rows = await self._rows(
            "SELECT account_id, source, source_id, kind, amount FROM controls"
            " WHERE account_id = ANY($1) AND kind IN ('g', 'w')",
            self.accounts,
        )
        given = [row["source_id"] for row in rows if row["source"] != "reversal"]
        assert Counter(given) == Counter(parts)
        for account in self.accounts:
            moved = sum(
                row["amount"] * (1 if row["kind"] == "g" else -1)
                for row in rows
                if row["account_id"] == account
            )
            assert moved == self.outside.truth.balance(account)

    async def _check_top_ups(self) -> None:
        """Each try was one charge at most, and is known as what it came to."""
        rows = await self._rows(
            "SELECT id, state, payment_intent_id FROM billing.topup_attempts"
            " WHERE account_id = ANY($1)",
            self.accounts,
        )
        intents = self.outside.truth.top_ups()
        made = Counter(intent["metadata"]["attempt"] for intent in intents)
        assert set(made.values()) <= {1}
        assert made.keys() <= {row["id"] for row in rows}
        known = {row["payment_intent_id"] for row in rows if row["state"] == "succeeded"}
        assert known == {intent["id"] for intent in intents if intent["status"] == "succeeded"}
        for account in self.topping:
            mine = [one for one in intents if one["metadata"]["account"] == f"acc_{account}"]
            assert sum(one["amount_received"] for one in mine) <= MONTHLY_CAP_MINOR

    async def _rows(self, statement: str, *values: Any) -> Sequence[Any]:
        async with self.rig.ledger.database.connection() as connection:
            rows: Sequence[Any] = await connection.fetch(statement, *values)
        return rows

    def balance(self, account: int) -> int:
        """Return what an account should have, by what Stripe shows now."""
        return self.outside.truth.balance(account)

    def frozen(self, account: int) -> bool:
        """Return whether an account should be frozen."""
        return self.outside.truth.frozen(account)
