"""
How an account stands with the limits that a request would meet, and what it would be told.

From what Postgres has: quotas, allowances and caps. Rates and what is in flight pass within
seconds, and are told with each answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from config import Limit, PriceList, Quote, on_plan
from gateway.limits import limits_on, limits_over_all, use_of
from gateway.models import Answer, Time
from ledger import credit_types, key_caps, limit_uses
from ledger.database import Connection
from ledger.key_caps import CapStanding
from ledger.limits import Per, window_ends_ms

Kind = Literal["quota", "free", "cap"]


class LimitStanding(Answer):
    """One limit: of requests, or (`cap`) of what the key may spend, in smallest units."""

    limit: str
    kind: Kind
    most: int
    left: int
    resets_at: Annotated[Time | None, Field(description="When all of it is back; null: never.")]


@dataclass(frozen=True, slots=True)
class Standing:
    """
    What a request would meet.

    free: An allowance would pay for it. refused: The problem that it would be answered with, and
    the limit it would name; None: no quota or cap refuses it.
    """

    limits: list[LimitStanding]
    free: bool = False
    refused: str | None = None
    refused_by: str | None = None


class Asker(NamedTuple):
    """Who would send the request, and when; `key` 0 is none in particular."""

    account: int
    key: int
    now_ms: int


async def standing(
    connection: Connection, prices: PriceList, found: Quote, asker: Asker
) -> Standing:
    """Look up how a caller stands."""
    account, key, now_ms = asker
    plan = prices.plan_of(found.plan)
    route = on_plan(plan, prices.routes[found.rule])
    if found.public or found.observe:
        return Standing([])
    used = await limit_uses.of_caller(connection, account, key, now_ms)
    asked = [
        (one, _standing(one, used(use_of(one, account, key)), now_ms))
        for one in limits_on(prices, route, limits_over_all(prices, plan))
        if one.rate is None and one.in_flight is None and (key or one.whose != "key")
    ]
    types = {row.name: row.id for row in await credit_types.every(connection)}
    caps = (await key_caps.of_account(connection, account, now_ms)).get(key, [])
    capped = [
        (cap, _of_cap(cap, now_ms))
        for cap in caps
        if cap.cap.credit_type_id == types.get(found.credit_type)
    ]
    shown = [one for _, one in asked] + [one for _, one in capped]
    return _decided(found.amount, route.weight, asked, capped, shown)


def _decided(
    amount: int,
    weight: int,
    asked: Sequence[tuple[Limit, LimitStanding]],
    capped: Sequence[tuple[CapStanding, LimitStanding]],
    shown: list[LimitStanding],
) -> Standing:
    """Decide as a hold does, in its order: quotas, allowances, caps."""
    full = [one for limit, one in asked if limit.quota is not None and one.left < weight]
    if full:
        return Standing(shown, False, "rate-limited", max(full, key=_ends).limit)
    if amount and any(limit.free is not None and one.left >= weight for limit, one in asked):
        return Standing(shown, free=True)
    short = [one for _, one in capped if one.left < amount]
    if short:
        return Standing(shown, False, "key-cap", max(short, key=_ends).limit)
    return Standing(shown)


def _standing(limit: Limit, used: int, now_ms: int) -> LimitStanding:
    kind: Kind = "quota" if limit.free is None else "free"
    most = (limit.quota if limit.free is None else limit.free) or 0
    return LimitStanding(
        limit=limit.name,
        kind=kind,
        most=most,
        left=max(most - used, 0),
        resets_at=_resets_at(limit.per, now_ms),
    )


def _of_cap(standing: CapStanding, now_ms: int) -> LimitStanding:
    cap = standing.cap
    return LimitStanding(
        limit=f"cap-{cap.per}",
        kind="cap",
        most=cap.units,
        left=max(cap.units - standing.spent, 0),
        resets_at=_resets_at(cap.per, now_ms),
    )


def _resets_at(per: Per, now_ms: int) -> datetime | None:
    if per == "total":
        return None
    return datetime.fromtimestamp(window_ends_ms(per, now_ms) / 1000, UTC)


def _ends(one: LimitStanding) -> datetime:
    return one.resets_at or datetime.max.replace(tzinfo=UTC)
