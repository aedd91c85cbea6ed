"""What every part of selling is given: the ledger, Stripe, and what is decided about both."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from billing.events.webhook_counts import WebhookCounts
from billing.stripe_door import StripeDoor
from config import PriceList
from ledger.errors import LedgerUnavailable
from ledger.ledger import Ledger
from ledger.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """
    Everything that selling stands on.

    Attributes:
        stripe: The way to Stripe; its `livemode` is this process's only mode.
        prices: The price list in force; it may change between two calls.
        pages_url: Where the consumer's routes are, like `https://api.example.com/farebox`.
            Buyers are sent back to it, so it is never taken from a request.
        link_secret: Signs the links that buyers come back with.
        installation: Marks what we made at Stripe (metadata `farebox`).
        webhook_secrets: Any of them may have signed what is delivered; several while one is
            being replaced.
        webhook_counts: What this process answered to deliveries.

    """

    ledger: Ledger
    stripe: StripeDoor
    prices: Callable[[], PriceList]
    clock: Clock
    random_bytes: Callable[[int], bytes]
    pages_url: str
    link_secret: bytes
    installation: str
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    webhook_counts: WebhookCounts = field(default_factory=WebhookCounts, repr=False)

    @property
    def livemode(self) -> bool:
        """Whether money is real here."""
        return self.stripe.livemode

    async def push(self, account_id: int) -> bool:
        """
        Have Redis apply what was just committed for an account, and say whether it has.

        False means pending: the steward goes on pushing, nobody has to ask again.
        """
        try:
            return await self.ledger.pusher.push(account_id) == "applied"
        except LedgerUnavailable:
            return False


Outcome = Literal["granted", "reversed", "updated", "unchanged", "waiting", "closed", "ignored"]


@dataclass(frozen=True, slots=True)
class Settled:
    """
    What settling an object came to.

    Attributes:
        outcome: granted: credits went in; reversed: credits were taken or given back; updated:
            only what we know changed; unchanged: it was so before; waiting: the money is not
            there yet; closed: nothing will come of it; ignored: not ours.
        detail: A sentence for the inbox and the operator.
        account_id: Whose; 0 where nobody's.

    """

    outcome: Outcome
    detail: str
    account_id: int = 0
