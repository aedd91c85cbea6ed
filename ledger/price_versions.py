"""
Price versions: every text of the price file that was ever live, numbered and never changed.

The text is kept as written (`${NAME}` unexpanded), once per sha256. What a rule costs is
kept with the version, so that a charge can be explained when the file is long gone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from ledger import audit
from ledger.database import Connection, Queries
from ledger.errors import Conflict, NotFound
from ledger.inputs import check_limit

Source: TypeAlias = Literal["file", "rollback"]

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
    """A version's row. source: `file`, or `rollback` of an older one."""

    version: int
    sha256: bytes
    source: Source
    actor: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Published:
    """The version that is current now, and whether nothing had to be done for it."""

    version: int
    repeated: bool


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
) -> Published:
    """
    Make a checked text the newest version, and return which version is current.

    The text that is current already is not published again. Nor is a file that was current
    until someone rolled back from it: a restart must not undo that.

    Args:
        connection: To Postgres.
        text: The file as it is.
        rules: Its routes, in order.
        actor: Whose file or command it is.
        source: Where it comes from.

    """
    sha256 = hashlib.sha256(text.encode()).digest()
    async with connection.transaction():
        await connection.execute(_SQL.lock)
        newest = await connection.fetchrow(_SQL.newest)
        if newest is not None:
            from_file = await connection.fetchrow(_SQL.newest_from_file)
            undone = source == "file" and from_file is not None and from_file["sha256"] == sha256
            if newest["sha256"] == sha256 or undone:
                return Published(newest["version"], repeated=True)
        version = 1 if newest is None else newest["version"] + 1
        await connection.execute(_SQL.add_text, sha256, text)
        await connection.execute(_SQL.add_version, version, sha256, source, actor)
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
            f"prices.{'publish' if source == 'file' else 'rollback'}",
            f"version {version}",
            {"sha256": sha256.hex()},
        )
    return Published(version, repeated=False)


async def roll_back(connection: Connection, version: int, *, actor: str) -> Published:
    """
    Publish an older version's text again as the newest. A repeat changes nothing.

    Raises:
        NotFound: No such version.

    """
    async with connection.transaction():
        text = await text_of(connection, version)
        return await publish(
            connection, text, await rules(connection, version), actor=actor, source="rollback"
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
