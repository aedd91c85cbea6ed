"""Facts that broke a rule of the books: looked at, and decided about, by a person."""

import dataclasses
from typing import Annotated, Any

from pydantic import Field

from gateway.models import Answer, GivenBody, LongText, Time
from gateway.operations.desk import Desk
from gateway.paging import PageQuery, pack_cursor, unpack_cursor
from ledger import accounts, dead_facts
from ledger.dead_facts import BEFORE_ALL, DeadFactRow, parse_place
from ledger.facts import (
    ClaimFact,
    ControlFact,
    Fact,
    HoldFact,
    LateFact,
    LotExpired,
    ObservedFact,
    SettleFact,
    UnreadableFact,
    UseFact,
    WholeCapture,
)
from ledger.ids import account_text, hold_text

KINDS: dict[type[Fact], str] = {
    HoldFact: "hold",
    SettleFact: "settle",
    WholeCapture: "capture",
    LateFact: "late",
    LotExpired: "expiry",
    ControlFact: "control",
    ObservedFact: "observed",
    UseFact: "use",
    ClaimFact: "claim",
    UnreadableFact: "unreadable",
}


class FactQuery(PageQuery):
    """Which dead facts."""

    open: Annotated[bool, Field(description="Only those nobody has decided about.")] = True
    account: str | None = None


class FactRow(Answer):
    """A fact that was left out of the books, with the rule it broke."""

    id: Annotated[str, Field(description="Shard, epoch and number in the journal: `0-3-1204`.")]
    account: Annotated[str | None, Field(description="None where the fact does not tell.")]
    kind: str
    charge: Annotated[str | None, Field(description="The charge it is about.")]
    amount: Annotated[
        int | None, Field(description="Smallest units: held, captured, granted, taken or expired.")
    ]
    charge_state: Annotated[
        str | None, Field(description="What Postgres has of that charge now; none: nothing.")
    ]
    why: str
    at: Time
    resolved_at: Time | None


class FactAnswer(FactRow):
    """The same with all that the fact says."""

    content: dict[str, Any]


class FactPage(Answer):
    """A page of dead facts, in the order of their journal."""

    items: list[FactRow]
    next: str | None


class FactDecision(GivenBody):
    """What was decided about a dead fact, and done."""

    reason: LongText


class FactResolved(Answer):
    """A dead fact is decided about."""

    id: str


async def listed(desk: Desk, query: FactQuery) -> FactPage:
    """Return a page of dead facts, in the order of their journal."""
    cursor = unpack_cursor("facts", query.cursor)
    async with desk.ledger.database.connection() as connection:
        owner = None
        if query.account is not None:
            owner = (await accounts.find(connection, query.account)).id
        rows = await dead_facts.rows(
            connection,
            only_open=query.open,
            account_id=owner,
            after=BEFORE_ALL if cursor is None else parse_place(cursor),
            limit=query.limit,
        )
        states = await dead_facts.states_of(connection, rows)
    return FactPage(
        items=[FactRow(**_fields(row, states)) for row in rows],
        next=pack_cursor("facts", rows[-1].place.text) if len(rows) == query.limit else None,
    )


async def show(desk: Desk, fact: str) -> FactAnswer:
    """Return a dead fact with all that it says."""
    async with desk.ledger.database.connection() as connection:
        row = await dead_facts.get(connection, parse_place(fact))
        states = await dead_facts.states_of(connection, [row])
    content = {name: _plain(value) for name, value in dataclasses.asdict(row.fact).items()}
    return FactAnswer(**_fields(row, states), content=content)


async def resolve(desk: Desk, fact: str, decision: FactDecision) -> FactResolved:
    """Say what was decided about a dead fact; moves nothing."""
    place = parse_place(fact)
    async with desk.ledger.database.connection() as connection:
        await dead_facts.resolve(connection, place, actor=desk.actor, reason=decision.reason)
    return FactResolved(id=place.text)


def _fields(row: DeadFactRow, states: dict[bytes, str]) -> dict[str, Any]:
    charge = row.charge_id
    return {
        "id": row.place.text,
        "account": None if row.account_id is None else account_text(row.account_id),
        "kind": KINDS[type(row.fact)],
        "charge": None if charge is None else hold_text(charge),
        "charge_state": None if charge is None else states.get(charge),
        "amount": _amount(row.fact),
        "why": row.why,
        "at": row.at,
        "resolved_at": row.resolved_at,
    }


def _amount(fact: Fact) -> int | None:
    match fact:
        case HoldFact():
            return fact.price
        case SettleFact():
            return fact.captured
        case LateFact():
            return fact.taken
        case ControlFact():
            return fact.control.amount
        case LotExpired() | ObservedFact():
            return fact.amount
        case _:
            return None


def _plain(value: Any) -> Any:
    """Return a part of a fact as JSON can say it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return value
