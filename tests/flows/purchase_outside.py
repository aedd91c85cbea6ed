"""What happens at Stripe in a case: buyers, banks, cards, the dashboard, and time."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

from billing.standin.failures import StripeFailure
from billing.standin.resources import (
    credit_notes,
    invoice_states,
    subscription_changes,
    subscription_endpoints,
)
from billing.standin.resources.disputes import STEPS
from billing.standin.resources.subscription_states import ENDED
from tests.flows.purchase_rig import Rig
from tests.flows.purchase_truth import Sale, Truth

VISA = "4242424242424242"
ASKS_FOR_3DS = "4000002760003184"
DECLINED = "4000000000000002"
DECLINED_LATER = "4000000000000341"
LOST = "4000000000009987"

DRAFTS_WAIT_S = 3_700.0
"""As long as Stripe leaves a renewal's invoice alone, and a little."""


class Outside:
    """What may happen to some accounts' sales, one thing at a time."""

    def __init__(
        self, rig: Rig, chance: random.Random, accounts: list[int], sales: list[Sale]
    ) -> None:
        self._rig = rig
        self._world = rig.world
        self._chance = chance
        self._sales = sales
        self.truth = Truth(rig.world, accounts, sales)
        self.cards: list[str] = []
        """Saved ones, by which top-ups are charged."""

    async def happens(self) -> str:
        """Have something happen that can; returns what, for the log."""
        while True:
            happening: Callable[[], object] = self._chance.choices(
                [self._pay, self._pay_slowly, self._finish, self._expire,
                 self._refund, self._refund_moves, self._dispute, self._dispute_moves,
                 self._time_passes, self._renew, self._pay_bill, self._write_off, self._want_more,
                 self._subscription_ends, self._credit_note, self._card_changes],
                [6, 2, 3, 0.3, 5, 4, 3, 6, 1.5, 3, 4, 0.5, 2, 0.5, 2, 2],
            )[0]  # fmt: skip
            self._world.run_due()  # what follows from what happened before, as before any request
            try:
                said = happening()
                if isinstance(said, Awaitable):
                    said = await said
            except StripeFailure as refused:
                said = f"refused: {refused.message}"
            except IndexError:
                continue  # there is nothing it could happen to
            return f"{happening.__name__}: {said}"

    async def wind_up(self) -> None:
        """Bring to an end what would go on by itself when the case is over."""
        await self._rig.pass_time(DRAFTS_WAIT_S)
        for _, subscription in self.truth.subscriptions():
            if subscription["status"] not in ENDED:
                subscription_endpoints.cancel(self._world, {}, {"subscription": subscription["id"]})
        for _, bill in self.truth.bills():
            if bill["status"] in {"open", "draft"} and not self._at_a_bank(bill):
                if bill["status"] == "draft":
                    invoice_states.finalize(self._world, bill)
                invoice_states.become_void(self._world, bill)

    # Buyers

    def session(self, *, at_a_bank: bool = False) -> str:
        """Any session of the case; or any whose payment is on its way."""
        if not at_a_bank:
            return self._chance.choice(self._sales).session_id
        unpaid = [
            sale.session_id
            for sale in self._sales
            if self._world.objects[sale.session_id]["status"] == "complete"
            and self._world.objects[sale.session_id]["payment_status"] == "unpaid"
        ]
        return self._chance.choice(unpaid)

    def _pay(self) -> object:
        quantity = self._chance.choice([None, None, 1, 4])
        card = self._chance.choice([VISA, VISA, VISA, VISA, ASKS_FOR_3DS, DECLINED])
        return self._rig.do("pay", session=self.session(), card=card, quantity=quantity)["id"]

    def _pay_slowly(self) -> object:
        return self._rig.do("pay_slowly", session=self.session())["id"]

    def _finish(self) -> object:
        succeeds = self._chance.random() < 0.7
        session = self.session(at_a_bank=True)
        return self._rig.do("finish_payment", session=session, succeeds=succeeds)["id"], succeeds

    def _expire(self) -> object:
        return self._rig.do("expire", session=self.session())["id"]

    # Subscriptions

    def _subscription(self) -> dict[str, Any]:
        running = [each for _, each in self.truth.subscriptions() if each["status"] not in ENDED]
        return self._world.get("subscription", self._chance.choice(running)["id"])

    async def _renew(self) -> object:
        subscription = self._subscription()
        left = subscription["items"]["data"][0]["current_period_end"] - self._world.clock.now()
        await self._rig.pass_time(max(0.0, left) + DRAFTS_WAIT_S)
        return subscription["id"], subscription["status"]

    def _want_more(self) -> object:
        subscription = self._subscription()
        if subscription["status"] != "active":
            return "not now"
        [item] = subscription["items"]["data"]
        wanted = {"id": item["id"], "quantity": item["quantity"] + 1}
        given = {"items": [wanted], "proration_behavior": "always_invoice"}
        subscription_changes.update(self._world, given, {"subscription": subscription["id"]})
        return subscription["id"], item["quantity"]

    def _subscription_ends(self) -> object:
        path = {"subscription": self._subscription()["id"]}
        if self._chance.random() < 0.5:
            subscription_changes.update(self._world, {"cancel_at_period_end": True}, path)
        else:
            subscription_endpoints.cancel(self._world, {}, path)
        return path

    def _bill(self, *states: str) -> dict[str, Any]:
        bills = [bill["id"] for _, bill in self.truth.bills() if bill["status"] in states]
        return self._world.get("invoice", self._chance.choice(bills))

    def _pay_bill(self) -> object:
        bill = self._bill("open", "uncollectible")
        if self._at_a_bank(bill):
            return "not now"
        return self._rig.do("pay_invoice", invoice=bill["id"])["id"]

    def _write_off(self) -> object:
        bill = self._bill("open")
        if self._at_a_bank(bill):
            return "not now"
        invoice_states.become_uncollectible(self._world, bill)
        return bill["id"]

    def _credit_note(self) -> object:
        amount = self._chance.choice([1, 700, self._chance.randint(1, 2_500)])
        given = {"invoice": self._bill("paid")["id"], "refund_amount": amount}
        return credit_notes.create(self._world, given, {})["id"], amount

    def _at_a_bank(self, bill: Any) -> bool:
        intent = invoice_states.intent_of(self._world, bill)
        return intent is not None and intent["status"] == "processing"

    # Cards

    def _card_changes(self) -> object:
        """Have the bank treat a card otherwise: of a top-up, or of a subscription."""
        number = self._chance.choice([VISA, VISA, DECLINED_LATER, LOST, ASKS_FOR_3DS])
        if self._chance.random() < 0.6:
            card = self._chance.choice(self.cards)
            self._world.objects[card] |= {"_number": number, "_set_up": True}
            return card, number
        if number == LOST:
            number = DECLINED_LATER  # one that is lost cannot be saved
        subscription = self._subscription()["id"]
        return self._rig.do("change_card", subscription=subscription, card=number)["id"], number

    # Money that goes back

    def intents(self) -> list[str]:
        """What everything was paid by."""
        return [sold.intent for sold in self.truth.sold() if sold.intent]

    def one_of(self, kind: str) -> str:
        """Any refund or dispute of the case; IndexError if there is none."""
        return str(self._chance.choice(self.truth.of_intents(kind, self.intents()))["id"])

    def _refund(self) -> object:
        intent = self._chance.choice(self.intents())
        amount = self._chance.choice([None, 1, 333, self._chance.randint(1, 1_500)])
        status = self._chance.choice([None, None, "pending", "succeeded", "requires_action"])
        made = self._rig.do("refund", payment_intent=intent, amount=amount, status=status)
        return made["id"], made["amount"], made["status"]

    def _refund_moves(self) -> object:
        refund = self.one_of("refund")
        status = self._chance.choice(["succeeded", "failed", "failed", "canceled"])
        return self._rig.do("set_refund_status", refund=refund, status=status)["id"], status

    def _dispute(self) -> object:
        intent = self._chance.choice(self.intents())
        amount = self._chance.choice([None, None, 500, self._chance.randint(1, 999)])
        inquiry = self._chance.random() < 0.3
        made = self._rig.do("dispute", payment_intent=intent, amount=amount, inquiry=inquiry)
        return made["id"], made["amount"], made["status"]

    def _dispute_moves(self) -> object:
        dispute = self.one_of("dispute")
        step = self._chance.choice([*STEPS, "win", "lose", "reinstate"])
        return self._rig.do("dispute_step", dispute=dispute, step=step)["id"], step

    # Time

    async def _time_passes(self) -> object:
        seconds = self._chance.choice([20.0, 70.0, 70.0, 4_000.0, 4_000.0, 90_000.0])
        await self._rig.pass_time(seconds)
        return seconds
