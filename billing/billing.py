"""
Selling, built: everything above the ledger that a worker, the steward or a command needs.

The only place where the parts of this package are put together. Without a key for Stripe there is
no shop, and everything that needs none works all the same.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Self

from billing.errors import SellingNotConfigured, StripeRefused, StripeUnavailable
from billing.events import inbox, inbox_worker
from billing.lacking import warnings_of
from billing.packages import mirror
from billing.reconciling import reconciler
from billing.shop import Shop
from billing.stripe_door import StripeDoor
from billing.telling import low_balance
from billing.telling.alerts import ErrorTally
from billing.telling.delivery import Channel, Delivery, End
from billing.telling.mail import Mail
from billing.topup import topups
from config import PriceList, Settings, SettingsError
from ledger.database import Queries
from ledger.ledger import Ledger
from ledger.outage import OUTAGE
from ledger.ports import Clock
from ledger.steward import Job

if TYPE_CHECKING:
    from billing.telling.operator_webhook import OperatorWebhook

log = logging.getLogger(__name__)

INBOX_S = 0.3
NOTICES_S = 1.0
TOP_UP_S = 2.0
LOW_BALANCE_S = 5.0
UNKNOWN_TOP_UPS_S = 10.0
RECONCILER_S = 30.0
MIRROR_S = 3_600.0
TIDY_S = 3_600.0
"""How long the steward rests before it looks for the same thing again. The reconciler knows by
itself when a pass is due; it is only asked this often."""

TALLY_S = 5.0
"""Every process counts Stripe's errors, and writes them down this often."""

NO_STRIPE = (StripeUnavailable, StripeRefused)
"""What a job may end with because of Stripe: an operator needs the sentence and no traceback."""

_SQL = Queries("billing", package="billing")


class Billing:
    """
    Everything that sells. Made by `open`, ended by `aclose`.

    Attributes:
        shop: What selling stands on; None: there is no key for Stripe.
        warnings: Sentences for the start-up about what does not work as it is.

    """

    def __init__(
        self,
        ledger: Ledger,
        prices: Callable[[], PriceList],
        delivery: Delivery,
        webhook: "OperatorWebhook | None",
        *,
        shop: Shop | None,
        tally: ErrorTally,
        warnings: tuple[str, ...],
    ) -> None:
        self.shop = shop
        self.warnings = warnings
        self._ledger = ledger
        self._prices = prices
        self._delivery = delivery
        self._webhook = webhook
        self._tally = tally
        self._writing = (
            None if shop is None else asyncio.create_task(self._write_errors(shop.clock))
        )

    @classmethod
    async def open(
        cls,
        settings: Settings,
        ledger: Ledger,
        *,
        prices: Callable[[], PriceList],
        pages_url: str,
        link_secret: bytes,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> Self:
        """
        Put everything together. Stripe is not asked: it may be away when we start.

        Args:
            settings: Whether there is Stripe, mail and a system of the operator's.
            ledger: Open; stays the caller's.
            prices: Returns the price list in force.
            pages_url: Where buyers are sent back to; see `Shop`.
            link_secret: Shared by all gateways on these stores.
            clock: For everything that waits or expires.
            random_bytes: For the names of orders; not to be guessed.

        Raises:
            SettingsError: The key for Stripe cannot be used.
            LedgerUnavailable, OSError: Postgres does not answer. Nothing is left open.

        """
        tally = ErrorTally()
        shop = None
        if settings.stripe_secret_key is not None:
            async with ledger.database.connection() as connection:
                installation = await connection.fetchval(_SQL.installation)
            shop = Shop(
                ledger=ledger,
                stripe=_door(settings.stripe_secret_key.get_secret_value(), settings, tally),
                prices=prices,
                clock=clock,
                random_bytes=random_bytes,
                pages_url=pages_url,
                link_secret=link_secret,
                installation=installation,
                webhook_secrets=tuple(
                    secret.get_secret_value() for secret in settings.stripe_webhook_secrets
                ),
            )
        ends: dict[Channel, End] = {}
        if settings.smtp_url and settings.mail_from:
            ends["mail"] = Mail(settings.smtp_url, settings.mail_from, pages_url)
        webhook = _webhook(settings, clock)
        if webhook is not None:
            ends["webhook"] = webhook
        return cls(
            ledger,
            prices,
            Delivery(ledger.database, ends),
            webhook,
            shop=shop,
            tally=tally,
            warnings=warnings_of(settings),
        )

    def need(self) -> Shop:
        """
        Return the shop.

        Raises:
            SellingNotConfigured: There is none.

        """
        if self.shop is None:
            raise SellingNotConfigured("STRIPE_SECRET_KEY is not set on this gateway")
        return self.shop

    def jobs(self) -> list[Job]:
        """Return what the elected steward does again and again."""
        database = self._ledger.database
        jobs = [
            Job("notices by mail", NOTICES_S, self._delivery.mails),
            Job("notices to the operator", NOTICES_S, self._delivery.webhooks),
            Job("low balances", LOW_BALANCE_S, lambda: low_balance.scan(database, self._prices())),
        ]
        if self.shop is None:
            return jobs
        shop = self.shop
        return [
            *jobs,
            Job("inbox", INBOX_S, partial(inbox_worker.work, shop), NO_STRIPE),
            Job("top-ups", TOP_UP_S, partial(topups.scan, shop), NO_STRIPE),
            Job("unknown top-ups", UNKNOWN_TOP_UPS_S, partial(topups.look_again, shop), NO_STRIPE),
            *(
                Job(
                    f"reconciler: {name}",
                    RECONCILER_S,
                    partial(reconciler.tick, shop, name),
                    NO_STRIPE,
                )
                for name in reconciler.PASSES
            ),
            Job("packages from Stripe", MIRROR_S, partial(mirror.sync, shop), NO_STRIPE),
            Job("old events", TIDY_S, self._forget_events),
        ]

    async def aclose(self) -> None:
        """End what goes on beside, and close the way to Stripe. A repeat is harmless."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
            self._writing = None
            await self._flush()
        if self._webhook is not None:
            await self._webhook.aclose()
        if self.shop is not None:
            await self.shop.stripe.aclose()

    async def _forget_events(self) -> None:
        now = datetime.fromtimestamp(self.need().clock.now_ms() / 1000, UTC)
        async with self._ledger.database.connection() as connection:
            await inbox.forget(connection, now)

    async def _write_errors(self, clock: Clock) -> None:
        while True:
            await clock.sleep(TALLY_S)
            await self._flush()

    async def _flush(self) -> None:
        try:
            await self._tally.flush(self._ledger.database)
        except OUTAGE as away:
            log.warning("errors of Stripe are counted later: %s", away)
        except Exception:
            # A mistake of ours here must end neither the counting nor the closing.
            log.exception("errors of Stripe could not be counted")


def _door(key: str, settings: Settings, tally: ErrorTally) -> StripeDoor:
    try:
        return StripeDoor.open(key, settings.stripe_api_base, record=tally.record)
    except ValueError as unusable:
        raise SettingsError(f"{unusable}.") from unusable


def _webhook(settings: Settings, clock: Clock) -> "OperatorWebhook | None":
    """Open the operator's end of notices, if there is one; only then is httpx loaded for it."""
    if not settings.notice_url or not settings.notice_secret:
        return None
    from billing.telling.operator_webhook import OperatorWebhook  # noqa: PLC0415

    secret = settings.notice_secret.get_secret_value()
    return OperatorWebhook.open(settings.notice_url, secret, clock)
