"""
Numbered changes of the schema, up and down, each applied once and in one transaction.

A component (`ledger`, later others) has a folder of `0001_name.up.sql` and
`0001_name.down.sql`. A down that loses data says so in its first line, `-- lossy: what`, and
runs only when allowed. The text of an applied migration never changes.
"""

import hashlib
import importlib.resources
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources.abc import Traversable

import asyncpg

from ledger.database import AWAY, CONNECT_LIMIT_S, Connection, Queries, unreachable
from ledger.errors import Conflict, InvalidInput

LOCK = 7_236_450_112_001
"""The advisory lock that makes two migrating commands wait for each other."""

_FILE = re.compile(r"(\d{4})_(\w+)\.up\.sql", re.ASCII)
_SQL = Queries("migrations")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered change: how it is made, how it is unmade, and what unmaking loses."""

    component: str
    number: int
    name: str
    up: str
    down: str
    loses: str | None

    @property
    def sha256(self) -> bytes:
        """Of the text that goes up."""
        return hashlib.sha256(self.up.encode()).digest()


@dataclass(frozen=True, slots=True)
class Component:
    """Whose migrations, and the folder they lie in."""

    name: str
    folder: Traversable


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Per component: the newest number applied, and the newest this release has."""

    applied: Mapping[str, int]
    known: Mapping[str, int]

    @property
    def behind(self) -> bool:
        """Whether `farebox migrate` has something to do."""
        return any(self.applied.get(name, 0) < number for name, number in self.known.items())

    @property
    def ahead(self) -> bool:
        """Whether a newer release has been here."""
        return any(self.applied.get(name, 0) > number for name, number in self.known.items())


@dataclass(frozen=True, slots=True)
class Step:
    """One migration that was applied (`up`) or taken back."""

    component: str
    number: int
    name: str
    up: bool


def ledger_component() -> Component:
    """Return where the ledger's own migrations are."""
    return Component("ledger", importlib.resources.files("ledger") / "sql" / "migrations")


def read_migrations(component: Component) -> list[Migration]:
    """
    Read a component's folder, lowest number first.

    Raises:
        ValueError: The numbers have a gap, or a down file is missing.

    """
    found = []
    for file in component.folder.iterdir():
        match = _FILE.fullmatch(file.name)
        if match is None:
            continue
        down = component.folder / f"{match[1]}_{match[2]}.down.sql"
        if not down.is_file():
            raise ValueError(f"{file.name} has no way down")
        text = down.read_text("utf-8")
        first = text.splitlines()[0] if text else ""
        loses = first.removeprefix("-- lossy:").strip() if first.startswith("-- lossy:") else None
        found.append(
            Migration(component.name, int(match[1]), match[2], file.read_text("utf-8"), text, loses)
        )
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations of {component.name} are not numbered 1, 2, 3...")
    return found


async def schema_state(
    connection: Connection, components: Sequence[Component] | None = None
) -> SchemaState:
    """Compare what is applied with what this release has; an empty database is at 0."""
    parts = components or [ledger_component()]
    known = {part.name: len(read_migrations(part)) for part in parts}
    if not await connection.fetchval(_SQL.table_exists):
        return SchemaState({}, known)
    return SchemaState(
        {row["component"]: row["n"] for row in await connection.fetch(_SQL.newest)}, known
    )


async def migrate(
    url: str,
    to: int | None = None,
    *,
    allow_loss: bool = False,
    components: Sequence[Component] | None = None,
) -> list[Step]:
    """
    Bring the schema to the newest state, or to number `to`, and return the steps taken.

    A repeat does nothing. Each step commits by itself, so that a failing one leaves the
    schema at the number before it.

    Args:
        url: The database.
        to: A number to go up or down to; only with one component.
        allow_loss: Permit a way down that loses data.
        components: In the order in which they build on each other; default: the ledger.

    Raises:
        Conflict: `schema-ahead`, `migration-changed`, or `would-lose-data`; nothing changed
            by the step that was refused.
        LedgerUnavailable: Postgres does not answer.

    """
    parts = list(components or [ledger_component()])
    if to is not None and len(parts) != 1:
        raise InvalidInput("to", "a number needs exactly one component")
    steps: list[Step] = []
    async with _locked(url) as connection:
        for part in parts:
            steps += await _bring(connection, part, to, allow_loss=allow_loss)
    return steps


@asynccontextmanager
async def _locked(url: str) -> AsyncIterator[Connection]:
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_LIMIT_S)
    except AWAY as away:
        raise unreachable(away) from away
    try:
        await connection.execute(_SQL.lock, LOCK)
        await connection.execute(_SQL.create_table)
        yield connection
    finally:
        await connection.close()  # gives the lock back


async def _bring(
    connection: Connection, part: Component, to: int | None, *, allow_loss: bool
) -> list[Step]:
    migrations = read_migrations(part)
    rows = await connection.fetch(_SQL.applied, part.name)
    if len(rows) > len(migrations):
        raise Conflict(
            "schema-ahead", f"a newer release has migrated {part.name} to {len(rows)}; run that one"
        )
    for migration, row in zip(migrations, rows, strict=False):
        if migration.sha256 != row["sha256"]:
            raise Conflict(
                "migration-changed",
                f"{part.name} {migration.number} was applied with another text than is here",
            )
    target = len(migrations) if to is None else to
    if not 0 <= target <= len(migrations):
        raise InvalidInput("to", f"0 to {len(migrations)}")
    going_down = migrations[target : len(rows)][::-1]
    lossy = [migration for migration in going_down if migration.loses]
    if lossy and not allow_loss:
        raise Conflict("would-lose-data", f"{part.name} {lossy[0].number} down: {lossy[0].loses}")
    steps = []
    for migration in going_down:
        async with connection.transaction():
            await connection.execute(migration.down)
            await connection.execute(_SQL.forget, part.name, migration.number)
        steps.append(Step(part.name, migration.number, migration.name, up=False))
    for migration in migrations[len(rows) : target]:
        async with connection.transaction():
            await connection.execute(migration.up)
            await connection.execute(
                _SQL.remember, part.name, migration.number, migration.name, migration.sha256
            )
        steps.append(Step(part.name, migration.number, migration.name, up=True))
    return steps
