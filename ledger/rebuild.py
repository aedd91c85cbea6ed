"""
Redis rebuilt from Postgres: the whole shard as a new epoch, or one account loaded anew.

Both are safe while gateways serve. A new epoch begins by the fence, like the one after a restart
of Redis: what was not posted is posted first, and the gateways present again what Postgres does
not show. Only where Postgres went back does a person have to accept a loss; `ledger.losses` says
beforehand which.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger import audit, dead_facts, shards
from ledger.account_record import account_field
from ledger.database import Connection, Database, Queries
from ledger.errors import Conflict, LedgerUnavailable, PostgresBehind
from ledger.fence import Fence
from ledger.ids import account_text
from ledger.inputs import clean_text
from ledger.journal import Reading, read_meta
from ledger.keys import Keys
from ledger.loader import Loader
from ledger.losses import Losses, read_losses
from ledger.ports import Clock
from ledger.poster import Poster
from ledger.shard import Shard

TRIES = 50
TRY_AGAIN_S = 0.05
"""An account that moves between two looks for so long is busy: it has to be frozen first."""

KEYS_AT_ONCE = 1_000
"""As many as the script takes."""

_SQL = Queries("rebuild")


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What beginning an epoch takes."""

    database: Database
    reading: Reading
    fence: Fence
    keys: Keys


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """
    What became of it.

    done: False: Postgres went back, and nobody accepted that yet; nothing was changed.
    before, epoch: Postgres' epoch then, and now.
    losses: What only Redis knew, where Postgres went back.
    """

    done: bool
    before: int
    epoch: int
    losses: Losses | None = None


async def rebuild(
    parts: Rebuilding, *, actor: str, reason: str, lose_data: bool = False
) -> Rebuilt:
    """
    Begin a new epoch, into which every account is loaded from Postgres when it is needed.

    Args:
        parts: What it takes.
        actor: Who wants it; kept in the audit.
        reason: Why; kept there too.
        lose_data: Where Postgres went back, begin from what it has: what only Redis knows is
            given up.

    Raises:
        InvalidInput: No reason given.
        LedgerUnavailable: A store is away. A repeat only begins one more epoch.

    """
    why = clean_text("reason", reason, 1_000, least=1)
    link = await parts.reading.link()
    before = await _epoch(parts)
    losses = None
    try:
        epoch = await parts.fence.renew(link, why)
    except PostgresBehind:
        if lose_data:
            await parts.fence.halt(link)  # so that nothing is added to what is read now
        losses = await read_losses(parts.database, link, parts.keys)
        if not lose_data:
            return Rebuilt(done=False, before=before, epoch=before, losses=losses)
        epoch = await parts.fence.accept(link, why)
    async with parts.database.connection() as connection:
        detail = {"reason": why, "before": before, "epoch": epoch, "lost": _totals(losses)}
        await audit.write(connection, actor, "ledger.rebuild", f"shard {parts.keys.shard}", detail)
    return Rebuilt(done=True, before=before, epoch=epoch, losses=losses)


async def _epoch(parts: Rebuilding) -> int:
    async with parts.database.connection() as connection:
        return (await shards.read(connection, parts.keys.shard)).epoch


def _totals(losses: Losses | None) -> dict[str, int] | None:
    """Sum up for the audit; whose it was, is the answer's to tell."""
    if losses is None:
        return None
    lost = losses.rows.values()
    return {
        "accounts": len({account for account, _ in losses.rows}),
        "charges": sum(one.charges for one in lost),
        "captured": sum(one.captured for one in lost),
        "granted": sum(one.granted for one in lost),
    }


@dataclass(frozen=True, slots=True)
class Reloading:
    """What loading an account anew takes."""

    database: Database
    shard: Shard
    reading: Reading
    poster: Poster
    loader: Loader
    clock: Clock


async def reload(parts: Reloading, account: int, *, actor: str, reason: str) -> None:
    """
    Make Redis forget an account and load it from Postgres, in the running epoch.

    Raises:
        InvalidInput: No reason given.
        Conflict: `rebuild-first`: facts of it broke a rule in this epoch, so that its holds are
            not the same in both stores. Only a new epoch brings them together.
        LedgerUnavailable: It was in use all the time, or a store is away.

    """
    why = clean_text("reason", reason, 1_000, least=1)
    await parts.shard.ready()
    for _ in range(TRIES):
        try:
            gone = await _unload(parts, account)
        except LedgerUnavailable:
            gone = False  # often an epoch has just begun, and the shard is being verified anew
        if gone:
            await parts.loader.load(account)
            async with parts.database.connection() as connection:
                detail = {"reason": why}
                await audit.write(
                    connection, actor, "account.rebuild", account_text(account), detail
                )
            return
        await parts.clock.sleep(TRY_AGAIN_S)
    raise LedgerUnavailable(f"{account_text(account)} is in use all the time: freeze it first")


async def _unload(parts: Reloading, account: int) -> bool:
    """Forget the account if it stood still from before Postgres had all of it."""
    shard, link = parts.shard, await parts.reading.link()
    epoch = shard.epoch
    raw = await link.call("HGET", shard.keys.balances(epoch), account_field(account))
    if raw is None:
        return True
    meta = await read_meta(link, shard.keys)  # after the record, whose facts are all up to here
    if meta is None or meta.epoch != epoch:
        await shard.run("unload", [account.to_bytes(7, "little"), raw, b""])  # its guard tells
        return False
    if not await _posted(parts, epoch, meta.q):
        return False
    async with parts.database.connection() as connection:
        if (await dead_facts.blame(connection, account)).in_this_epoch:
            raise Conflict(
                "rebuild-first",
                f"facts of {account_text(account)} broke a rule in this epoch: begin a new one",
            )
        keys = await _keys(connection, account)
    for first in range(0, max(len(keys), 1), KEYS_AT_ONCE):
        packed = b"".join(keys[first : first + KEYS_AT_ONCE])
        [answer] = await shard.run("unload", [account.to_bytes(7, "little"), raw, packed])
        if answer != b"OK":
            return False
    return True


async def _posted(parts: Reloading, epoch: int, q: int) -> bool:
    """Post up to fact `q`: a second poster beside the steward's is harmless."""
    for _ in range(TRIES):
        async with parts.database.connection() as connection:
            row = await shards.read(connection, parts.shard.number)
        if row.epoch != epoch:
            return False
        if row.last_q >= q:
            return True
        await parts.poster.step()
    return False


async def _keys(connection: Connection, account: int) -> Sequence[bytes]:
    rows = await connection.fetch(_SQL.keys, account)
    return [row["id"].to_bytes(7, "little") for row in rows]
