"""What a pass of the reconciler came to, object by object."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from billing import settling
from billing.errors import BillingError, Quarantined, StripeRefused, StripeUnavailable
from billing.shop import Shop
from billing.telling import alerts
from ledger.outage import OUTAGE

PassName: TypeAlias = Literal["events", "state", "audit"]

MOST_NOTES = 200
"""Sentences kept of one pass; the counts stay right beyond it."""

NO_USE_GOING_ON: tuple[type[Exception], ...] = (StripeUnavailable, *OUTAGE)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Report:
    """
    What one pass did.

    Attributes:
        complete: It saw all there was; else it stopped early and begins again where it began.
        looked_at: Objects or events at Stripe, or rows of ours, that it considered.
        outcomes: How often what became of it; see `billing.shop.Outcome`. Of a dry run: what
            would have been settled, as `would_settle`.
        notes: Sentences for the operator.

    """

    name: PassName
    dry_run: bool
    complete: bool = True
    looked_at: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Keep a sentence, if there are not too many."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(sentence)

    def failed(self, outcome: str, sentence: str) -> None:
        """Count something that could not be settled, and say why."""
        self.outcomes[outcome] += 1
        self.note(sentence)

    def to_json(self) -> Mapping[str, Any]:
        """Return it as JSON can carry it."""
        return {**asdict(self), "outcomes": dict(self.outcomes)}


async def settle(shop: Shop, report: Report, object_type: str, object_id: str) -> bool:
    """
    Settle one object, whose trouble is not the others'; return whether it could be settled.

    Raises:
        StripeUnavailable: There is no use in going on.
        OUTAGE: A store is away.

    """
    report.looked_at += 1
    if report.dry_run:
        report.outcomes["would_settle"] += 1
        report.note(f"would settle {object_type} {object_id}")
        return False
    try:
        settled = await settling.settle(shop, object_type, object_id)
    except Quarantined as why:
        async with shop.ledger.database.connection() as connection:
            await alerts.raise_alert(connection, "quarantined", object_id, str(why))
        report.failed("quarantined", f"{object_id}: {why}")
        return False
    except StripeRefused as refused:
        report.failed("failed", f"{object_id}: {refused}")
        return False
    except NO_USE_GOING_ON:
        raise
    except BillingError as why:
        report.failed("failed", f"{object_id}: {why}")
        return False
    except Exception as fault:  # noqa: BLE001 - see below
        # A mistake of ours met by one object must not hide the others; the next pass tries again.
        _log.exception("%s %s could not be settled", object_type, object_id)
        report.failed("failed", f"{object_id}: {type(fault).__name__}")
        return False
    report.outcomes[settled.outcome] += 1
    if settled.outcome not in {"unchanged", "ignored"}:
        report.note(f"{object_id}: {settled.outcome}: {settled.detail}")
    return True


async def refused_list(shop: Shop, report: Report, what: str, refused: StripeRefused) -> None:
    """Tell that Stripe will not list something: a restricted key may lack a permission."""
    report.failed("failed", f"{what}: {refused}")
    if not report.dry_run:
        async with shop.ledger.database.connection() as connection:
            await alerts.raise_alert(connection, "reconciler", what, f"Stripe refuses: {refused}")
