"""
One case of the promise about purchases: anything happens in any order, then it is quiet.

Buyers pay, banks refuse and take back, the dashboard refunds; deliveries come twice, late, in
another order or never; the success page, operators and the reconciler ask meanwhile; and what we
do ends in the middle, again and again. Afterwards the ledger must be what Stripe's final state
says. That is worked out here from the stand-in's objects alone, with none of the product's code.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

from billing import settling
from billing.errors import BillingError
from billing.events import inbox_worker
from billing.purchases.checkout import Purchase, start
from billing.reconciling import reconciler
from billing.reversing import money_back
from billing.standin.failures import StripeFailure
from billing.standin.resources.disputes import OPEN, STEPS
from tests.flows.purchase_rig import EACH, Rig

STEPS_OF_A_CASE = (12, 40)
QUIET_ROUNDS = 40
A_RETRY_LATER_S = 2 * 3_600.0
COUNTED = ("pending", "requires_action", "succeeded")


class Dying(Awaitable[Any]):
    """Runs a coroutine that is cancelled at its n-th wait: before, between and behind commits."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits: int) -> None:
        self._coroutine = coroutine
        self._left = waits

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                future = steps.send(None) if thrown is None else steps.throw(thrown)
            except StopIteration as done:
                return done.value
            if self._left == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            self._left -= 1
            thrown = None
            try:
                yield future
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine
                thrown = error


async def until_death(coroutine: Coroutine[Any, Any, Any], waits: int) -> Any:
    """Await it, unless it dies first."""

    async def run() -> Any:
        return await Dying(coroutine, waits)

    ended = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
    if isinstance(ended[0], asyncio.CancelledError):
        return None
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


@dataclass
class Sale:
    """An order of the case, and its session at Stripe."""

    account: int
    order_id: str
    session_id: str


@dataclass
class Case:
    """One case; `log` tells what happened, for whoever has to find out why it failed."""

    rig: Rig
    seed: int
    accounts: list[int] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    async def run(self) -> None:
        """Play the case to its end and check Postgres; the books are checked by the caller."""
        self.rig.world.heard.clear()
        self.accounts = [await self.rig.account() for _ in range(self.chance.randint(1, 2))]
        for _ in range(self.chance.randint(1, 3)):
            await self._order()
        for _ in range(self.chance.randint(*STEPS_OF_A_CASE)):
            if self.chance.random() < 0.5:
                self._outside()
            else:
                await self._inside()
        await self._quiet()
        await self._check()

    async def _order(self) -> None:
        account = self.chance.choice(self.accounts)
        purchase = Purchase(package="starter", quantity=self.chance.randint(1, 3))
        started = await start(self.rig.shop, account, purchase)
        self.sales.append(Sale(account, started.order_id, started.session_id))

    # What happens at Stripe

    def _outside(self) -> None:
        happens: Callable[[], object] = self.chance.choices(
            [self._pay, self._pay_slowly, self._finish, self._refund, self._refund_moves,
             self._dispute, self._dispute_moves, self._time_passes, self._expire],
            [6, 2, 3, 5, 4, 3, 6, 1, 0.3],
        )[0]  # fmt: skip
        try:
            said = happens()
        except StripeFailure as refused:
            said = f"refused: {refused.message}"
        self.log.append(f"{happens.__name__}: {said}")
        self.waiting += self.rig.world.heard
        self.rig.world.heard.clear()

    def _session(self) -> str:
        return self.chance.choice(self.sales).session_id

    def _pay(self) -> object:
        quantity = self.chance.choice([None, None, 1, 4])
        return self.rig.do("pay", session=self._session(), quantity=quantity)["id"]

    def _pay_slowly(self) -> object:
        return self.rig.do("pay_slowly", session=self._session())["id"]

    def _finish(self) -> object:
        succeeds = self.chance.random() < 0.7
        return self.rig.do("finish_payment", session=self._session(), succeeds=succeeds)["id"]

    def _expire(self) -> object:
        return self.rig.do("expire", session=self._session())["id"]

    def _refund(self) -> object:
        intent = self._paid_intent()
        amount = self.chance.choice([None, 1, 333, self.chance.randint(1, 1_500)])
        status = self.chance.choice([None, None, "pending", "succeeded", "requires_action"])
        made = self.rig.do("refund", payment_intent=intent, amount=amount, status=status)
        return made["id"], made["amount"], made["status"]

    def _refund_moves(self) -> object:
        refund = self._one_of("refund")
        status = self.chance.choice(["succeeded", "failed", "failed", "canceled"])
        return self.rig.do("set_refund_status", refund=refund, status=status)["id"], status

    def _dispute(self) -> object:
        intent = self._paid_intent()
        amount = self.chance.choice([None, None, 500, self.chance.randint(1, 999)])
        inquiry = self.chance.random() < 0.3
        made = self.rig.do("dispute", payment_intent=intent, amount=amount, inquiry=inquiry)
        return made["id"], made["amount"], made["status"]

    def _dispute_moves(self) -> object:
        dispute = self._one_of("dispute")
        step = self.chance.choice([*STEPS, "win", "lose", "reinstate"])
        return self.rig.do("dispute_step", dispute=dispute, step=step)["id"], step

    def _time_passes(self) -> object:
        seconds = self.chance.choice([20.0, 70.0, 4_000.0])
        self.rig.world.advance(seconds)
        return seconds

    def _paid_intent(self) -> str:
        intents = [self.rig.world.objects[sale.session_id]["payment_intent"] for sale in self.sales]
        return self.chance.choice([intent for intent in intents if intent] or ["pi_none"])

    def _one_of(self, kind: str) -> str:
        return self.chance.choice([one["id"] for one in self._of(kind)] or ["none"])

    def _of(self, kind: str) -> list[dict[str, Any]]:
        intents = {self.rig.world.objects[sale.session_id]["payment_intent"] for sale in self.sales}
        return [
            one for one in self.rig.world.every(kind) if one["payment_intent"] in intents - {None}
        ]

    # What we do

    async def _inside(self) -> None:
        """Do one thing, or a few at once; each may end in the middle."""
        at_once = self.chance.choice([1, 1, 2, 3])
        await asyncio.gather(*(self._one_thing() for _ in range(at_once)))

    async def _one_thing(self) -> None:
        does: Callable[[], Coroutine[Any, Any, object]] = self.chance.choices(
            [self._deliver, self._work, self._visit, self._operator, self._reconcile,
             self._money_back, self._look_again],
            [8, 6, 3, 8, 0.5, 2, 0.5],
        )[0]  # fmt: skip
        if self.chance.random() < 0.1:
            kind = self.chance.choice(["error_after", "cut_after", "error_before", "rate_limited"])
            self.rig.world.faults.add(kind, count=self.chance.choice([1, 1, 4]))
        waits = self.chance.choice([None, None, self.chance.randint(0, 60)])
        try:
            if waits is None:
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
        return await settling.settle(self.rig.shop, "checkout.session", self._session())

    async def _operator(self) -> object:
        kind = self.chance.choice(["refund", "dispute", "charge", "payment_intent"])
        wanted = self._paid_intent() if kind == "payment_intent" else self._one_of(kind)
        return await settling.settle(self.rig.shop, kind, wanted)

    async def _reconcile(self) -> object:
        name = self.chance.choice(["events", "state"])
        [report] = await reconciler.run(self.rig.shop, [name])
        return name, report.outcomes

    async def _money_back(self) -> object:
        sale = self.chance.choice(self.sales)
        amount = self.chance.choice([None, 100, self.chance.randint(1, 1_200)])
        return await money_back.refund(self.rig.shop, sale.order_id, amount, actor="test")

    async def _look_again(self) -> object:
        return await money_back.look_again(self.rig.shop)

    # The end

    async def _quiet(self) -> None:
        """Let everything arrive: by the deliveries that are left, or without any by the reconciler."""
        shop = self.rig.shop
        self.rig.world.faults.clear()
        self.rig.world.advance(120)  # refunds that a card decides later
        self.waiting += self.rig.world.heard
        self.rig.world.heard.clear()
        delivered = self.chance.random() < 0.5
        self.log.append(f"quiet, {'delivered' if delivered else 'reconciled'}")
        if delivered:
            self.chance.shuffle(self.waiting)
            for event in self.waiting:
                await self.rig.deliver(event)
        await reconciler.run(shop, ["events"])
        for _ in range(QUIET_ROUNDS):
            self.rig.world.advance(A_RETRY_LATER_S)
            await inbox_worker.work(shop)
            await money_back.look_again(shop)
            # What looking again has asked for is news as well.
            await reconciler.run(shop, ["events"])
            if not await self._unfinished():
                return
        raise AssertionError(f"it does not become quiet: {await self._unfinished()}")

    async def _unfinished(self) -> list[str]:
        async with self.rig.ledger.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT event_id || ' ' || type || ' ' || outcome AS what FROM billing.inbox"
                " WHERE status IN ('received', 'failed')"
                " UNION ALL SELECT id || ' ' || state FROM billing.refunds WHERE state = 'asking'"
            )
        return [row["what"] for row in rows]

    async def _check(self) -> None:
        async with self.rig.ledger.database.connection() as connection:
            stuck = await connection.fetch(
                "SELECT type, object_id, outcome FROM billing.inbox"
                " WHERE status IN ('dead', 'quarantined')"
            )
            assert stuck == []
            for sale in self.sales:
                await self._check_sale(connection, sale)
            for account in self.accounts:
                rows = await connection.fetch(
                    "SELECT kind, amount FROM controls WHERE account_id = $1 AND kind IN ('g', 'w')",
                    account,
                )
                moved = sum(row["amount"] * (1 if row["kind"] == "g" else -1) for row in rows)
                assert moved == self.balance(account)

    async def _check_sale(self, connection: Any, sale: Sale) -> None:
        granted, back = self.due(sale)
        rows = await connection.fetch(
            "SELECT g.credits, g.clawed FROM billing.payments p"
            " JOIN billing.payment_grants g ON g.payment_id = p.id WHERE p.order_id = $1",
            sale.order_id,
        )
        expected = [(granted, back)] if granted else []
        assert [(row["credits"], row["clawed"]) for row in rows] == expected, sale
        times = await connection.fetchval(
            "SELECT count(*) FROM controls WHERE source = 'checkout' AND source_id = $1",
            sale.session_id,
        )
        assert times == (1 if granted else 0), sale

    # What Stripe's final state says, from its objects alone

    def due(self, sale: Sale) -> tuple[int, int]:
        """Return the credits a sale gave, and how many of them went back."""
        world = self.rig.world
        session = world.objects[sale.session_id]
        if session["payment_status"] != "paid":
            return 0, 0
        granted = EACH * sum(line["quantity"] for line in session["_lines"])
        paid, intent = session["amount_total"], session["payment_intent"]
        refunded = sum(
            refund["amount"]
            for refund in world.every("refund")
            if refund["payment_intent"] == intent and refund["status"] in COUNTED
        )
        withdrawn = -sum(
            booked["amount"]
            for dispute in world.every("dispute")
            if dispute["payment_intent"] == intent
            for booked in dispute["balance_transactions"]
        )
        return granted, granted * min(paid, refunded + withdrawn) // paid

    def balance(self, account: int) -> int:
        """Return what an account should have: nobody spends anything here."""
        due = [self.due(sale) for sale in self.sales if sale.account == account]
        return sum(granted - back for granted, back in due)

    def frozen(self, account: int) -> bool:
        """Return whether an account should be frozen: while a dispute of its payments is open."""
        intents = {
            self.rig.world.objects[sale.session_id]["payment_intent"]
            for sale in self.sales
            if sale.account == account
        }
        return any(
            dispute["status"] in OPEN
            for dispute in self.rig.world.every("dispute")
            if dispute["payment_intent"] in intents
        )
