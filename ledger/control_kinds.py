"""
What Postgres can order Redis to do to an account: one value for each kind of control.

Values alone: `ledger.controls` puts them into the log, `ledger.control_rows` says how.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from ledger.facts import NEVER
from ledger.limits import Per

MAX_PRIORITY = 255
DEFAULT_PRIORITY = 100

GrantKind: TypeAlias = Literal["purchase", "subscription", "promotion", "adjustment", "refund"]


@dataclass(frozen=True, slots=True)
class Grant:
    """
    Put credits in: `amount` smallest units, used up before lots of higher priority.

    With `effective_at` in the future it waits, and enters then. `reference` is unique per
    account. A grant of kind `refund` names the charge it gives back. With `routes` it can be
    used on those alone; whether there are such is the caller's to check (`reaches.check_names`).
    """

    credit_type_id: int
    amount: int
    kind: GrantKind = "purchase"
    priority: int = DEFAULT_PRIORITY
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    description: str = ""
    reference: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    charge_id: bytes | None = None
    routes: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Clawback:
    """Take credits back: from this grant's lot (0: none named), then others, then as debt."""

    credit_type_id: int
    amount: int
    grant_id: int = 0
    entry_kind: Literal["clawback", "adjustment"] = "clawback"
    description: str = ""
    reference: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Freeze:
    """Refuse every request of the account (`frozen`), or allow them again."""

    frozen: bool


@dataclass(frozen=True, slots=True)
class KeyPut:
    """Make Redis know a key as it stands now in `api_keys`."""

    key_id: int
    scopes: int
    active: bool
    expires_ms: int = NEVER


@dataclass(frozen=True, slots=True)
class CapPut:
    """Bound what a key spends of a credit type in each window; `units` None lifts the cap."""

    key_id: int
    credit_type_id: int
    per: Per
    units: int | None


@dataclass(frozen=True, slots=True)
class PlanPut:
    """Put the account on the plan with this number (see `ledger.plans`); 0 takes it off."""

    number: int


@dataclass(frozen=True, slots=True)
class Spent:
    """Count what a key has spent already in the window that ends at `ends_ms`, for its cap."""

    key_id: int
    credit_type_id: int
    per: Per
    units: int
    ends_ms: int


@dataclass(frozen=True, slots=True)
class Enter:
    """Give a scheduled or queued grant its lot."""

    grant_id: int


Control: TypeAlias = Grant | Clawback | Freeze | KeyPut | CapPut | Spent | PlanPut | Enter


def request_of(control: Control, reach: int) -> str:
    """Say what a repeat must have in common with the first; words and times may differ."""
    match control:
        case Grant():
            limit = f" limited {reach}" if reach else ""
            return f"grant {control.kind} {control.credit_type_id} {control.amount}{limit}"
        case Clawback():
            return f"clawback {control.credit_type_id} {control.amount} {control.grant_id}"
        case Freeze():
            return f"freeze {control.frozen}"
        case KeyPut():
            return f"key {control.key_id} {control.scopes} {control.active} {control.expires_ms}"
        case PlanPut():
            return f"plan {control.number}"
        case CapPut():
            return f"cap {control.key_id} {control.credit_type_id} {control.per} {control.units}"
        case Spent():
            place = f"{control.key_id} {control.credit_type_id} {control.per} {control.ends_ms}"
            return f"spent {place} {control.units}"
        case Enter():
            return f"enter {control.grant_id}"
