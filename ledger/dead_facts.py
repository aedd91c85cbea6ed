"""
Facts that broke a rule: kept whole, and left out of every balance, until a person has decided.

Deciding moves nothing by itself. What the account is owed, or owes, is corrected by a grant or an
adjustment, which are facts of their own; resolving says that this was done, or that none is due.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ledger import audit
from ledger.books import ChargeState
from ledger.database import Connection, Queries
from ledger.errors import CorruptRecord, NotFound
from ledger.fact_bytes import read_facts
from ledger.facts import Fact, UnreadableFact
from ledger.inputs import check_limit, clean_text

_SQL = Queries("dead_facts")
_TEXT = re.compile(r"(\d{1,4})-(\d{1,15})-(\d{1,15})", re.ASCII)


class Place(NamedTuple):
    """Where in a journal a fact stood."""

    shard: int
    epoch: int
    q: int

    @property
    def text(self) -> str:
        """The id shown outside, like `0-3-1204`."""
        return f"{self.shard}-{self.epoch}-{self.q}"


BEFORE_ALL = Place(0, 0, 0)


@dataclass(frozen=True, slots=True)
class DeadFactRow:
    """A dead fact; `account_id` is None where the fact does not tell whose it is."""

    place: Place
    account_id: int | None
    fact: Fact
    why: str
    at: datetime
    resolved_at: datetime | None

    @property
    def charge_id(self) -> bytes | None:
        """The charge that the fact is about, if it is about one."""
        hold: bytes | None = getattr(self.fact, "hold_id", None)
        return hold


class Blame(NamedTuple):
    """Dead facts of an account: how many nobody has decided about, and any in this epoch."""

    unresolved: int
    in_this_epoch: bool


def parse_place(text: str) -> Place:
    """
    Return the place that a text like `0-3-1204` names.

    Raises:
        NotFound: It names none.

    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise NotFound(f"no fact {text}")
    return Place(*map(int, found.groups()))


async def rows(
    connection: Connection,
    *,
    only_open: bool = True,
    account_id: int | None = None,
    after: Place = BEFORE_ALL,
    limit: int = 50,
) -> list[DeadFactRow]:
    """List dead facts in the order of their journal, from the one behind `after` on."""
    found = await connection.fetch(_SQL.rows, only_open, account_id, *after, check_limit(limit))
    return [_row(row) for row in found]


async def get(connection: Connection, place: Place) -> DeadFactRow:
    """
    Return one.

    Raises:
        NotFound: No dead fact stood there.

    """
    row = await connection.fetchrow(_SQL.one, *place)
    if row is None:
        raise NotFound(f"no fact {place.text}")
    return _row(row)


async def states_of(connection: Connection, facts: Sequence[DeadFactRow]) -> dict[bytes, str]:
    """
    Return where the charges that these facts are about stand now; nothing for those not there.

    A gateway that served a request presents it again until Postgres shows it closed, so in a new
    epoch most of what died with a fact is booked after all.
    """
    ids = [row.charge_id for row in facts if row.charge_id is not None]
    if not ids:
        return {}
    found = await connection.fetch(_SQL.states, ids, min(ids), max(ids))
    return {row["id"]: ChargeState(row["state"]).word for row in found}


async def resolve(connection: Connection, place: Place, *, actor: str, reason: str) -> None:
    """
    Say what was decided about a fact. A repeat changes nothing.

    Raises:
        NotFound: No dead fact stood there.
        InvalidInput: No reason given.

    """
    why = clean_text("reason", reason, 1_000, least=1)
    async with connection.transaction():
        closed = await connection.fetchval(_SQL.resolve, *place)
        if closed is None:
            raise NotFound(f"no fact {place.text}")
        if closed:
            target = f"fact {place.text}"
            await audit.write(connection, actor, "fact.resolve", target, {"reason": why})


async def undecided(connection: Connection) -> int:
    """Count the facts that nobody has decided about."""
    found: int = await connection.fetchval(_SQL.undecided)
    return found


async def blame(connection: Connection, account_id: int) -> Blame:
    """Say what of an account's dead facts stands against its release."""
    row = await connection.fetchrow(_SQL.standing, account_id)
    return Blame(row["unresolved"], row["in_this_epoch"])


def _row(row: dict[str, object]) -> DeadFactRow:
    values = dict(row)
    place = Place(*(values.pop(name) for name in Place._fields))  # type: ignore[arg-type]
    return DeadFactRow(place, **(values | {"fact": _fact(values["fact"])}))  # type: ignore[arg-type]


def _fact(raw: object) -> Fact:
    whole = bytes(raw)  # type: ignore[call-overload]
    try:
        [fact] = read_facts(whole)
    except (CorruptRecord, ValueError):
        return UnreadableFact(whole[:1], whole)
    return fact
