"""
Price versions: every text of the price file that was ever live, numbered and never changed.

The text is kept as written (`${NAME}` unexpanded), once per sha256. What a rule costs is
kept with the version, so that a charge can be explained when the file is long gone.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from ledger import audit
from ledger.database import Connection, Queries
from ledger.errors import Conflict, NotFound
from ledger.inputs import check_limit

Source: TypeAlias = Literal["file", "rollback", "admin"]
Home: TypeAlias = Literal["file", "database"]

PUBLISH_LOCK = 7_236_450_112_004
"""The advisory lock of those who publish and write a price file in one go."""

_SQL = Queries("price_versions")


@dataclass(frozen=True, slots=True)
class Rule:
    """A route of a version: its index, its name, and its price as JSON."""

    rule: int
    route: str
    path: str
    methods: Sequence[str]
    credit_type: str
    price: Any


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """
    A version's row.

    source: A price `file`, an `admin` who published it, or a `rollback` of an older one.
    home: Where its text says that prices live: in the `file`, or in the `database`.
    """

    version: int
    sha256: bytes
    source: Source
    actor: str
    published_at: datetime
    home: Home


@dataclass(frozen=True, slots=True)
class Published:
    """The version that is current now, and whether nothing had to be done for it."""

    version: int
    repeated: bool
    home: Home = "file"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A text that was refused: which gateway read it, and what was wrong where."""

    gateway_id: str
    sha256: bytes
    problems: list[dict[str, Any]]
    at: datetime


async def publish(
    connection: Connection,
    text: str,
    rules: Sequence[Rule],
    *,
    actor: str,
    source: Source = "file",
    home: Home = "file",
    expected: int | None = None,
) -> Published:
    """
    Make a checked text the newest version, and return which version is current.

    The text that is current already is not published again. Nor is a file that was current
    until somebody rolled back from it or published over it: a restart must not undo that. Nor
    is any file while prices live in the database.

    Args:
        connection: To Postgres.
        text: The file as it is.
        rules: Its routes, in order.
        actor: Whose file or command it is.
        source: Where it comes from.
        home: Where it says that prices live.
        expected: The version that it is to follow, 0 for none; None: any.

    Raises:
        Conflict: `prices-changed`: another version is current. Nothing changed.

    """
    sha256 = hashlib.sha256(text.encode()).digest()
    async with connection.transaction():
        await connection.execute(_SQL.lock)
        newest = await current(connection)
        if newest is not None:
            if newest.sha256 == sha256:
                if source == "file":
                    await connection.execute(_SQL.mark_in_file, newest.version)
                return Published(newest.version, repeated=True, home=newest.home)
            if source == "file" and await _is_set_aside(connection, newest, sha256):
                return Published(newest.version, repeated=True, home=newest.home)
        _check_expected(newest, expected)
        version = 1 if newest is None else newest.version + 1
        await connection.execute(_SQL.add_text, sha256, text)
        await connection.execute(_SQL.add_version, version, sha256, source, actor, home)
        await connection.executemany(
            _SQL.add_rule,
            [
                (version, r.rule, r.route, r.path, list(r.methods), r.credit_type, r.price)
                for r in rules
            ],
        )
        await audit.write(
            connection,
            actor,
            f"prices.{'rollback' if source == 'rollback' else 'publish'}",
            f"version {version}",
            {"sha256": sha256.hex(), "home": home},
        )
    return Published(version, repeated=False, home=home)


async def _is_set_aside(connection: Connection, newest: PriceVersion, sha256: bytes) -> bool:
    """Whether a file's text does not count: it was in force, or files do not."""
    if newest.home == "database":
        return True
    in_file = await connection.fetchrow(_SQL.newest_in_file)
    return in_file is not None and bool(in_file["sha256"] == sha256)


def _check_expected(newest: PriceVersion | None, expected: int | None) -> None:
    version = 0 if newest is None else newest.version
    if expected is not None and expected != version:
        by = f" by {newest.actor}" if newest is not None else ""
        raise Conflict(
            "prices-changed",
            f"version {version}{by} is in force, not {expected}: look at what changed, then again",
        )


async def written(connection: Connection, version: int) -> None:
    """Remember that the price file has a version's text. A repeat changes nothing."""
    await connection.execute(_SQL.mark_in_file, version)


async def in_file(connection: Connection) -> bytes | None:
    """Return the sha256 of the newest text that a price file is known to have had."""
    row = await connection.fetchrow(_SQL.newest_in_file)
    return None if row is None else row["sha256"]


@asynccontextmanager
async def alone(connection: Connection) -> AsyncIterator[None]:
    """Publish and write a file without another who does the same; the lock ends with the block."""
    await connection.execute(_SQL.publish_alone, PUBLISH_LOCK)
    try:
        yield
    finally:
        await connection.execute(_SQL.leave_publishing, PUBLISH_LOCK)


async def roll_back(
    connection: Connection, version: int, *, actor: str, expected: int | None = None
) -> Published:
    """
    Publish an older version's text again as the newest. A repeat changes nothing.

    Raises:
        NotFound: No such version.
        Conflict: `prices-changed`; `prices-moved`: the text says that prices live elsewhere
            than now, which a rollback must not decide. Nothing changed.

    """
    async with connection.transaction():
        await connection.execute(_SQL.lock)
        row = await get(connection, version)
        newest = await current(connection)
        if newest is not None and newest.home != row.home:
            raise Conflict(
                "prices-moved",
                f"version {version} says `prices: {row.home}`, and they live in the {newest.home}"
                " now: change that in its text, and publish it",
            )
        return await publish(
            connection,
            await text_of(connection, version),
            await rules(connection, version),
            actor=actor,
            source="rollback",
            home=row.home,
            expected=expected,
        )


async def current(connection: Connection) -> PriceVersion | None:
    """Return the newest version; None before the first."""
    row = await connection.fetchrow(_SQL.newest)
    return None if row is None else PriceVersion(**row)


async def get(connection: Connection, version: int) -> PriceVersion:
    """
    Return a version.

    Raises:
        NotFound: There is none with this number.

    """
    row = await connection.fetchrow(_SQL.by_version, version)
    if row is None:
        raise NotFound(f"no price version {version}")
    return PriceVersion(**row)


async def text_of(connection: Connection, version: int) -> str:
    """
    Return a version's text, as it was in the file.

    Raises:
        NotFound: There is none with this number.

    """
    text: str | None = await connection.fetchval(_SQL.text_of, version)
    if text is None:
        raise NotFound(f"no price version {version}")
    return text


async def rules(connection: Connection, version: int) -> list[Rule]:
    """Return a version's rules, in order."""
    return [Rule(**row) for row in await connection.fetch(_SQL.rules, version)]


async def versions(
    connection: Connection, *, before: int | None = None, limit: int = 50
) -> list[PriceVersion]:
    """List versions, the newest first; `before` is the last number of the page before."""
    rows = await connection.fetch(_SQL.versions, before, check_limit(limit))
    return [PriceVersion(**row) for row in rows]


async def refuse(
    connection: Connection, gateway_id: str, sha256: bytes, problems: Sequence[dict[str, Any]]
) -> None:
    """
    Remember that a gateway refused a text. The same text again is remembered once.

    Raises:
        Conflict: `no-problems`: a refusal says why.

    """
    if not problems:
        raise Conflict("no-problems", "a refusal needs a reason")
    await connection.execute(_SQL.refuse, gateway_id, sha256, list(problems))


async def last_refusal(connection: Connection) -> Refusal | None:
    """Return the latest refusal, unless a version was published after it."""
    row = await connection.fetchrow(_SQL.last_refusal)
    return None if row is None else Refusal(**row)
