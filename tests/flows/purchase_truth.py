"""
What the ledger owes, worked out from the objects at Stripe alone.

None of the product's code is used here, so that a mistake in it is not repeated.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing.standin.resources.disputes import OPEN
from billing.standin.world import World

Json = Mapping[str, Any]

STARTER = (100, 999)
DAILY = (240, 2_000)
REFILL = (50, 500)
"""Credits and minor units of one of each package."""

COUNTED = ("pending", "requires_action", "succeeded")
"""States of a refund whose money is, or will be, the buyer's."""


@dataclass(frozen=True, slots=True)
class Sale:
    """A session that was opened for an account."""

    account: int
    order_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Sold:
    """Something that was paid: its object at Stripe, and the credits that each part gave."""

    account: int
    object_id: str
    order_id: str
    intent: str | None
    paid_minor: int
    gave: tuple[tuple[str, int], ...]


class Truth:
    """What is so at Stripe for some accounts and the sessions opened for them."""

    def __init__(self, world: World, accounts: Sequence[int], sales: Sequence[Sale]) -> None:
        self._world = world
        self._accounts = accounts
        self._sales = sales

    def sold(self) -> list[Sold]:
        """Everything that is paid, each once."""
        found = [
            self._by_session(sale, self._world.objects[sale.session_id])
            for sale in self._sales
            if self._world.objects[sale.session_id]["mode"] == "payment"
        ]
        bills = ((sale, bill) for sale, bill in self.bills() if bill["status"] == "paid")
        topped = (intent for intent in self.top_ups() if intent["status"] == "succeeded")
        return [
            *filter(None, found),
            *(self._by_bill(sale, bill) for sale, bill in bills),
            *map(_by_top_up, topped),
        ]

    def subscriptions(self) -> list[tuple[Sale, Json]]:
        """What was subscribed to, whatever became of it."""
        found = ((sale, self._world.objects[sale.session_id]) for sale in self._sales)
        return [
            (sale, self._world.objects[session["subscription"]])
            for sale, session in found
            if session["subscription"]
        ]

    def bills(self) -> Iterator[tuple[Sale, Json]]:
        """Invoices of the subscriptions, whether paid or not."""
        sales = {subscription["id"]: sale for sale, subscription in self.subscriptions()}
        for bill in self._world.every("invoice"):
            if bill["parent"] is not None:
                sale = sales.get(bill["parent"]["subscription_details"]["subscription"])
                if sale is not None:
                    yield sale, bill

    def top_ups(self) -> list[Json]:
        """Payment intents made without the buyer, whatever became of them."""
        names = {f"acc_{account}" for account in self._accounts}
        return [
            intent
            for intent in self._world.every("payment_intent")
            if intent["metadata"].get("kind") == "auto_topup"
            and intent["metadata"]["account"] in names
        ]

    def of_intents(self, kind: str, intents: Iterable[str | None]) -> list[Json]:
        """Refunds or disputes of some payment intents."""
        wanted = set(intents) - {None}
        return [one for one in self._world.every(kind) if one["payment_intent"] in wanted]

    def went_back_minor(self, sold: Sold) -> int:
        """How much of what was paid the buyer has again, or the bank has taken."""
        refunds = self.of_intents("refund", [sold.intent])
        refunded = sum(one["amount"] for one in refunds if one["status"] in COUNTED)
        disputes = self.of_intents("dispute", [sold.intent])
        moved = sum(one["amount"] for each in disputes for one in each["balance_transactions"])
        return min(sold.paid_minor, refunded - moved)

    def grants(self) -> dict[tuple[str, str], tuple[int, int]]:
        """By object and part: the credits it gave, and how many of them are taken back."""
        return {
            (sold.object_id, part): (given, given * self.went_back_minor(sold) // sold.paid_minor)
            for sold in self.sold()
            for part, given in sold.gave
        }

    def balance(self, account: int) -> int:
        """What an account should have: nobody spends anything here."""
        grants = self.grants()
        mine = {sold.object_id for sold in self.sold() if sold.account == account}
        return sum(given - back for (of, _), (given, back) in grants.items() if of in mine)

    def frozen(self, account: int) -> bool:
        """Whether a dispute of an account's payments is open."""
        intents = [sold.intent for sold in self.sold() if sold.account == account]
        return any(one["status"] in OPEN for one in self.of_intents("dispute", intents))

    def _by_session(self, sale: Sale, session: Json) -> Sold | None:
        if session["payment_status"] != "paid":
            return None
        given = STARTER[0] * sum(line["quantity"] for line in session["_lines"])
        return Sold(
            sale.account,
            session["id"],
            sale.order_id,
            session["payment_intent"],
            session["amount_total"],
            ((session["id"], given),),
        )

    def _by_bill(self, sale: Sale, bill: Json) -> Sold:
        paid_by = [
            payment["payment"]["payment_intent"]
            for payment in self._world.every("invoice_payment")
            if (payment["invoice"], payment["status"]) == (bill["id"], "paid")
        ]
        return Sold(
            sale.account,
            bill["id"],
            sale.order_id,
            paid_by[0] if paid_by else None,
            bill["amount_paid"],
            tuple(_parts(bill["_lines"])),
        )


def _parts(lines: Sequence[Json]) -> Iterator[tuple[str, int]]:
    """What each line of a paid invoice gives: a whole period, or all shares by their money."""
    each, each_minor = DAILY
    shares = [line for line in lines if line["parent"]["subscription_item_details"]["proration"]]
    for line in lines:
        if line not in shares:
            yield line["id"], each * line["quantity"]
    net_minor = sum(line["amount"] for line in shares)
    if each * net_minor // each_minor:
        [dearer] = [line for line in shares if line["amount"] > 0]
        yield dearer["id"], each * net_minor // each_minor


def _by_top_up(intent: Json) -> Sold:
    [given] = [each for each, minor in (STARTER, REFILL) if minor == intent["amount_received"]]
    return Sold(
        int(intent["metadata"]["account"].removeprefix("acc_")),
        intent["id"],
        intent["metadata"]["order_id"],
        intent["id"],
        intent["amount_received"],
        ((intent["id"], given),),
    )
