"""
Seals: one sha256 per batch over every row it wrote, chained to the seal before.

`batches.sha` covers a batch's place and its double-entry lines. The seal adds what the batch
says of single charges (their opening, their ending), of movements, of the controls it applied
with their grants, and of dead facts, so that no row of history can be changed, removed or
added without a seal that no longer fits.

When they are checked, the digests are computed by Postgres from the rows as they stand. When they
are made, so are those of all but the charges, by the same statements; charges are digested from
what is sent to Postgres (`ledger.charge_digest`), while it is at work. What may change later is
left out: how much of a charge was refunded (the refunds are grants of their own). A charge that
expired and was collected late after all is in two batches; its first ending is kept in
`overtaken_endings`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from ledger.database import Connection, Queries

NOTHING = hashlib.sha256(b"").digest()
"""The digest of no rows."""

FIRST_SEAL = bytes(32)
"""What the first seal of a shard is chained to."""

_SQL = Queries("seals")


class Place(Protocol):
    """What a seal needs of a batch."""

    @property
    def shard(self) -> int: ...  # noqa: D102
    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def q_from(self) -> int: ...  # noqa: D102
    @property
    def q_to(self) -> int: ...  # noqa: D102


class Sealed(NamedTuple):
    """
    A batch's seal and what it was made of, as in `batches`.

    first_charge, last_charge: The ids its charges lie between; None where it has none.
    controls: Those it applied: account, number, account, number...
    """

    seal: bytes
    first_charge: bytes | None
    last_charge: bytes | None
    charges_sha: bytes
    controls: list[int]
    others_sha: bytes


class ChargesDigest(NamedTuple):
    """What a batch says of charges."""

    first_charge: bytes | None = None
    last_charge: bytes | None = None
    sha: bytes = NOTHING


async def sealed(
    connection: Connection,
    batch: Place,
    sha: bytes,
    charges: ChargesDigest,
    applied: Iterable[tuple[int, int]],
) -> Sealed:
    """
    Seal a batch whose rows are written, in the transaction that writes them.

    Args:
        connection: Holds the lock on the shard's row.
        batch: Its place.
        sha: Of its lines, see `batches.sha`.
        charges: What it says of them, see `ledger.charge_digest`.
        applied: Account and number of each control that was applied.

    """
    controls = [number for control in applied for number in control]
    others = (await digest_others(connection, [(batch, controls)]))[batch.q_from]
    previous = await connection.fetchval(_SQL.last_seal, batch.shard) or FIRST_SEAL
    return Sealed(seal_of(previous, sha, charges, controls, others), *charges, controls, others)


def seal_of(
    previous: bytes, sha: bytes, charges: ChargesDigest, controls: Sequence[int], others: bytes
) -> bytes:
    """Chain a batch's digests to the seal before."""
    bounds = f"{(charges.first_charge or b'').hex()}|{(charges.last_charge or b'').hex()}"
    named = ",".join(map(str, controls))
    return hashlib.sha256(
        previous + sha + charges.sha + others + f"{bounds}|{named}".encode()
    ).digest()


async def digest_charges(
    connection: Connection, batches: Sequence[Place], first: bytes, last: bytes
) -> dict[int, ChargesDigest]:
    """
    Digest what the charges between two ids say of batches, by the batches' first q.

    Args:
        connection: To Postgres.
        batches: Of one epoch, following each other without a gap.
        first: No charge of these batches has a lower id...
        last: ...or a higher one.

    """
    starts = [batch.q_from for batch in batches]
    rows = await connection.fetch(
        _SQL.charges, batches[0].epoch, starts, batches[-1].q_to, first, last
    )
    found = {
        starts[row["batch"] - 1]: ChargesDigest(row["first_charge"], row["last_charge"], row["sha"])
        for row in rows
    }
    return {start: found.get(start, ChargesDigest()) for start in starts}


async def digest_others(
    connection: Connection, batches: Sequence[tuple[Place, Sequence[int]]]
) -> dict[int, bytes]:
    """
    Digest movements, controls and dead facts of batches, by the batches' first q.

    Args:
        connection: To Postgres.
        batches: As in `digest_charges`, each with the controls it applied.

    """
    places = [batch for batch, _ in batches]
    applied = [
        (index, *controls[at : at + 2])
        for index, (_, controls) in enumerate(batches, 1)
        for at in range(0, len(controls), 2)
    ]
    columns = [list(column) for column in zip(*applied, strict=True)] or [[], [], []]
    starts = [batch.q_from for batch in places]
    rows = await connection.fetch(
        _SQL.others, places[0].shard, places[0].epoch, starts, places[-1].q_to, *columns
    )
    found = {starts[row["batch"] - 1]: row["sha"] for row in rows}
    return {start: found.get(start, NOTHING) for start in starts}
