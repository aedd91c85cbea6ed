"""
A Postgres in memory: rows, transactions, row locks, and connections that break.

It knows the statements of `statements.py` and no SQL. As in the real one, a transaction sees
what is committed when each of its statements begins (or when the first does, for repeatable
read) and its own changes, and row locks last until it ends. Rows are replaced, never changed.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.ledger.copied import copied_rows
from tests.simulation.loop import START_S, PlayedLoop, Process, current_process

Row = dict[str, Any]
Key = Any
Table = dict[Key, Row]

STATEMENT_LIMIT_S = 30.0
GONE = "connection was closed in the middle of operation"


KEPT_COMMITS = 100
"""The last ones, which a standby may lack."""


class Unplayed(Exception):
    """The ledger runs a statement that this Postgres does not know."""


@dataclass(frozen=True)
class Statement:
    """How a statement is answered; `locks` names the rows it locks first, as (table, key)."""

    run: Callable[..., list[Row]]
    locks: Callable[..., Iterable[tuple[str, Key]]] | None = None


class Transaction:
    """Changes that nobody else sees yet, and the row locks that go with them."""

    def __init__(self, postgres: "Postgres") -> None:
        self.postgres = postgres
        self.changes: dict[str, Table] = {}
        self.locks: set[tuple[str, Key]] = set()
        self.snapshot: dict[str, Table] | None = None
        self.over = False

    @property
    def now_ms(self) -> int:
        return self.postgres.now_ms

    def get(self, table: str, key: Key) -> Row | None:
        changed = self.changes.get(table)
        if changed is not None and key in changed:
            return changed[key]
        return self._committed(table).get(key)

    def rows(self, table: str) -> Iterator[Row]:
        committed, changed = self._committed(table), self.changes.get(table)
        if not changed:
            yield from committed.values()
            return
        for key, row in committed.items():
            yield changed.get(key, row)
        for key, row in changed.items():
            if key not in committed:
                yield row

    def put(self, table: str, key: Key, row: Row) -> None:
        self.postgres.check(table, row)
        self.changes.setdefault(table, {})[key] = row

    def insert(self, table: str, key: Key, row: Row) -> None:
        if self.get(table, key) is not None:
            raise asyncpg.UniqueViolationError(f"{table}: {key} is there already")
        self.put(table, key, row)

    def change(self, table: str, key: Key, **columns: Any) -> Row | None:
        row = self.get(table, key)
        if row is None:
            return None
        row = row | columns
        self.put(table, key, row)
        return row

    def next(self, sequence: str) -> int:
        return self.postgres.next(sequence)

    def _committed(self, table: str) -> Table:
        source = self.postgres.tables if self.snapshot is None else self.snapshot
        return source[table]


@dataclass(frozen=True)
class Commit:
    """What rows and sequences were before it; None: there was no such row."""

    before: dict[str, dict[Key, Row | None]]
    sequences: dict[str, int]


@dataclass
class Trouble:
    """What is wrong with it; the chances are per statement."""

    down: bool = False
    hangs: bool = False
    late: float = 0.0
    broken: float = 0.0

    def calm(self) -> None:
        self.down = self.hangs = False
        self.late = self.broken = 0.0


@dataclass
class Postgres:
    """The one database."""

    loop: PlayedLoop
    chance: random.Random
    statements: dict[str, Statement]
    tables: dict[str, Table]
    wrong: Callable[[str], None]
    trouble: Trouble = field(default_factory=Trouble)
    log: list[tuple[str, str, tuple[Any, ...], Any]] | None = None
    """What was done, in order; while it is kept, connections are lent one at a time."""

    def __post_init__(self) -> None:
        self._sequences: dict[str, int] = {}
        self._holders: dict[tuple[str, Key], Transaction] = {}
        self._sessions: list[Session] = []
        self._freed: asyncio.Future[None] | None = None
        self._back: asyncio.Future[None] | None = None
        self.turn = asyncio.Lock()
        self.on_trip: Callable[[], None] | None = None
        self._commits: deque[Commit] = deque(maxlen=KEPT_COMMITS)

    @property
    def now_ms(self) -> int:
        return int((START_S + self.loop.time()) * 1_000)

    def next(self, sequence: str) -> int:
        self._sequences[sequence] = self._sequences.get(sequence, 0) + 1
        return self._sequences[sequence]

    def check(self, table: str, row: Row) -> None:
        """The constraints that carry the proof; breaking one is a finding, not only an error."""
        if (rule := CHECKS.get(table)) is not None and not rule(row):
            self.wrong(f"a row of {table} breaks its constraints: {row}")
            raise asyncpg.CheckViolationError(f"{table}: {row}")

    def begin(self, isolation: str = "read_committed") -> Transaction:
        transaction = Transaction(self)
        if isolation != "read_committed":
            transaction.snapshot = {name: dict(table) for name, table in self.tables.items()}
        return transaction

    def commit(self, transaction: Transaction) -> None:
        if transaction.changes:
            before = {
                name: {key: self.tables[name].get(key) for key in changes}
                for name, changes in transaction.changes.items()
            }
            self._commits.append(Commit(before, dict(self._sequences)))
        for name, changes in transaction.changes.items():
            self.tables[name].update(changes)
        self.end(transaction)

    def fail_over(self, commits: int, *, sequences: bool) -> int:
        """
        Become a standby that lacks the last commits; return how many it did lack.

        Sequences are written ahead in steps, so a standby has often the numbers that were
        given out, and sometimes not: then (`sequences`) they will be given out again.
        """
        self.hang_up()
        lost = 0
        while self._commits and lost < commits:
            commit = self._commits.pop()
            for name, rows in commit.before.items():
                for key, row in rows.items():
                    if row is None:
                        self.tables[name].pop(key)
                    else:
                        self.tables[name][key] = row
            if sequences:
                self._sequences = commit.sequences
            lost += 1
        return lost

    def end(self, transaction: Transaction) -> None:
        transaction.over = True
        for lock in transaction.locks:
            del self._holders[lock]
        if transaction.locks and self._freed is not None:
            freed, self._freed = self._freed, None
            freed.set_result(None)
        transaction.locks = set()

    async def lock(self, transaction: Transaction, lock: tuple[str, Key]) -> None:
        until = self.loop.time() + STATEMENT_LIMIT_S
        while (holder := self._holders.get(lock)) not in (None, transaction):
            if self._freed is None:
                self._freed = self.loop.create_future()
            waiting = asyncio.shield(self._freed)
            try:
                await asyncio.wait_for(waiting, max(until - self.loop.time(), 0.001))
            except TimeoutError:
                if self.loop.time() >= until:
                    raise
            if transaction.over:
                raise asyncpg.ConnectionDoesNotExistError(GONE)
        assert holder is None or holder is transaction
        self._holders[lock] = transaction
        transaction.locks.add(lock)

    def sessions_of(self, process: Process) -> list["Session"]:
        return [session for session in self._sessions if session.process is process]

    def hang_up(self, process: Process | None = None) -> None:
        """End the sessions of a process that died, or all of them."""
        for session in list(self._sessions):
            if process is None or session.process is process:
                session.end()

    def go_down(self, *, hangs: bool) -> None:
        self.trouble.down, self.trouble.hangs = True, hangs
        self.hang_up()

    def come_back(self) -> None:
        self.trouble.down = self.trouble.hangs = False
        if self._back is not None:
            back, self._back = self._back, None
            back.set_result(None)

    async def trip(self, given_up: asyncio.Future[None]) -> None:
        """The way there or back; raises if it is not to be had, or is given up meanwhile."""
        trouble = self.trouble
        if self.on_trip is not None:
            self.on_trip()
        if trouble.down:
            if trouble.hangs:
                if self._back is None:
                    self._back = self.loop.create_future()
                ended, _ = await asyncio.wait(
                    (self._back, given_up),
                    timeout=STATEMENT_LIMIT_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not ended:
                    raise TimeoutError
            raise asyncpg.ConnectionDoesNotExistError(GONE)
        drawn = self.chance.random()
        if drawn < trouble.broken:
            raise asyncpg.ConnectionDoesNotExistError(GONE)
        late = 0.5 if drawn < trouble.broken + trouble.late else 0.001
        await asyncio.sleep(0.0001 + late * self.chance.random())

    @asynccontextmanager
    async def acquire(self) -> Any:
        """Lend a connection, as asyncpg's pool does."""
        if self.trouble.down and not self.trouble.hangs:
            await asyncio.sleep(0.001)
            raise ConnectionRefusedError("no Postgres there")
        if self.log is not None:
            await self.turn.acquire()
        session = Session(self, current_process())
        self._sessions.append(session)
        try:
            yield session
        finally:
            session.end()

    async def expire_connections(self) -> None:
        """As the pool's: here each connection is lent once, so there is none to renew."""

    async def close(self) -> None:
        """As the pool's."""


class Session:
    """A connection, with the methods of asyncpg's that the ledger uses."""

    def __init__(self, postgres: Postgres, process: Process | None) -> None:
        self.process = process
        self._postgres = postgres
        self._transaction: Transaction | None = None
        self._broken = False
        self._given_up: asyncio.Future[None] = postgres.loop.create_future()

    def terminate(self) -> None:
        """As asyncpg's: what waits for an answer is told at once that there will be none."""
        self.end()

    def end(self) -> None:
        """Be gone; an open transaction is undone."""
        self._broken = True
        if not self._given_up.done():
            self._given_up.set_result(None)
        if self._transaction is not None and not self._transaction.over:
            self._postgres.end(self._transaction)
            self._log("ROLLBACK")
        if self in self._postgres._sessions:
            self._postgres._sessions.remove(self)
            if self._postgres.log is not None:
                self._postgres.turn.release()

    async def fetch(self, statement: str, *args: Any) -> list[Row]:
        return await self._do(statement, args)

    async def fetchrow(self, statement: str, *args: Any) -> Row | None:
        rows = await self._do(statement, args)
        return rows[0] if rows else None

    async def fetchval(self, statement: str, *args: Any) -> Any:
        rows = await self._do(statement, args)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, statement: str, *args: Any) -> str:
        await self._do(statement, args)
        return ""

    async def executemany(self, statement: str, many: Iterable[Iterable[Any]]) -> None:
        for args in many:
            await self._do(statement, tuple(args))

    async def copy_to_table(
        self,
        table: str,
        *,
        source: AsyncIterator[bytes],
        columns: tuple[str, ...],
        format: str,  # noqa: A002
    ) -> None:
        assert format == "binary"
        records = copied_rows([chunk async for chunk in source])
        await self._do(f"COPY {table}", (records, columns))

    @asynccontextmanager
    async def transaction(
        self, *, isolation: str = "read_committed", readonly: bool = False
    ) -> Any:
        if self._transaction is not None:
            async with self._savepoint(self._transaction):
                yield
            return
        await self._reach()
        transaction = self._transaction = self._postgres.begin(isolation)
        self._log("BEGIN", isolation)
        try:
            yield
            await self._reach()
            if transaction.over:
                raise asyncpg.ConnectionDoesNotExistError(GONE)
            self._postgres.commit(transaction)
            self._log("COMMIT")
            await self._reach()
        finally:
            self._transaction = None
            if not transaction.over:
                self._postgres.end(transaction)
                self._log("ROLLBACK")

    @asynccontextmanager
    async def _savepoint(self, transaction: Transaction) -> Any:
        saved = {name: dict(changes) for name, changes in transaction.changes.items()}
        self._log("BEGIN", "read_committed")
        try:
            yield
        except BaseException:
            if not transaction.over:
                transaction.changes = saved
                self._log("UNDO")
            raise
        self._log("COMMIT")

    async def _reach(self) -> None:
        if self._broken:
            raise asyncpg.ConnectionDoesNotExistError(GONE)
        try:
            await self._postgres.trip(self._given_up)
        except (asyncpg.ConnectionDoesNotExistError, TimeoutError):
            self.end()
            raise
        if self._broken:
            raise asyncpg.ConnectionDoesNotExistError(GONE)

    async def _do(self, text: str, args: tuple[Any, ...]) -> list[Row]:
        statement = self._postgres.statements.get(text)
        if statement is None:
            self._postgres.wrong(f"not played: {text}")
            raise Unplayed(text)
        await self._reach()
        transaction = self._transaction or self._postgres.begin()
        try:
            if statement.locks is not None:
                for lock in statement.locks(transaction, *args):
                    await self._postgres.lock(transaction, lock)
            if transaction.over or self._broken:
                raise asyncpg.ConnectionDoesNotExistError(GONE)
            rows = statement.run(transaction, *args)
            if transaction is not self._transaction:
                self._postgres.commit(transaction)
            self._log("DO", text, args, rows)
        finally:
            if transaction is not self._transaction and not transaction.over:
                self._postgres.end(transaction)
        await self._reach()
        return rows

    def _log(self, what: str, text: str = "", args: tuple[Any, ...] = (), rows: Any = None) -> None:
        if self._postgres.log is not None:
            self._postgres.log.append((what, text, args, rows))


CHECKS: dict[str, Callable[[Row], bool]] = {
    "accounts": lambda row: row["cseq_applied"] <= row["cseq_head"],
    "pools": lambda row: all(
        row[name] >= 0
        for name in (
            "remaining", "held", "debt", "floor", "granted", "refunded", "captured", "expired",
            "clawed", "written_off",
        )
    ),
    "grants": lambda row: (
        min(row["remaining"], row["held"], row["clawed"], row["expired"]) >= 0
        and row["remaining"] + row["held"] + row["clawed"] + row["expired"] <= row["amount"]
    ),
    "charges": lambda row: (
        0 <= row["captured"] <= row["held"]
        and 0 <= row["refunded"] <= row["captured"]
        and (row["captured"] == 0 or row["state"] in (2, 5))
        and (row["state"] == 1) == (row["closed_q"] is None)
        and (row["state"] == 1) == (row["deadline_ms"] is not None)
    ),
    "batches": lambda row: 1 <= row["q_from"] <= row["q_to"],
}  # fmt: skip
