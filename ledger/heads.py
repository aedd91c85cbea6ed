"""
Heads: how far a shard's history had come at some moment, signed, to be kept elsewhere.

Who can write to Postgres can change a row and recompute every seal after it, and nothing in
Postgres would tell. A head that was copied away before still does. The signature is an HMAC
with a key that Postgres never sees: it shows that a head was made by a gateway and not by
whoever changed the database. Who has the key can sign; a copy that others keep needs no
signature to be believed.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from ledger.database import Connection, Queries
from ledger.errors import InvalidInput, NotFound

SHORTEST_KEY_BYTES = 16
MOST_HEADS = 100_000
"""In one file: eleven years of hours."""

_SQL = Queries("heads")


@dataclass(frozen=True, slots=True)
class Head:
    """
    The last batch of a shard when it was looked at.

    epoch, q: Its last fact; 0 and 0 where nothing is posted. sha, seal: See `batches`, in hex.
    batches, facts: How many there are up to it. retired: Months of charges dropped by then.
    at: When, UTC. key: Names the key, without saying anything of it.
    """

    shard: int
    epoch: int
    q: int
    sha: str
    seal: str
    batches: int
    facts: int
    retired: int
    at: str
    key: str = ""
    signature: str = ""

    @property
    def line(self) -> str:
        """As it is printed and kept: one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)


async def take(
    connection: Connection, shard: int, now: datetime, since: Head | None = None
) -> Head:
    """
    Return the head as it is now, not signed.

    Args:
        connection: To Postgres.
        shard: Whose history.
        now: What time it is.
        since: One from before, from which on batches are counted; None: from the first on.

    """
    before = (0, 0, 0, 0) if since is None else (since.epoch, since.q, since.batches, since.facts)
    row = await connection.fetchrow(_SQL.take, shard, *before)
    if row is None:
        raise NotFound(f"no shard {shard}")
    values: dict[str, Any] = {
        name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()
    }
    return Head(**values, at=now.strftime("%Y-%m-%dT%H:%M:%SZ"))


def key_name(key: bytes) -> str:
    """Return what tells one key from another."""
    return hashlib.sha256(b"farebox head key " + key).hexdigest()[:8]


def sign(head: Head, key: bytes) -> Head:
    """Return the head with a signature over all the rest of it."""
    named = replace(head, key=key_name(key), signature="")
    return replace(named, signature=_signature(named, key))


def signed_by(head: Head, key: bytes) -> bool:
    """Whether the head was signed with this key, and is as it was then."""
    return hmac.compare_digest(head.signature, _signature(replace(head, signature=""), key))


def read_heads(lines: Iterable[str]) -> list[Head]:
    """
    Read heads, one on each line; empty lines are passed over.

    Raises:
        InvalidInput: A line is not a head; says which.

    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if number > MOST_HEADS:
            raise InvalidInput("heads", f"at most {MOST_HEADS} lines")
        try:
            head = Head(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise InvalidInput("heads", f"line {number} is not a head") from error
        if any(
            type(getattr(head, name)) is not kind for name, kind in Head.__annotations__.items()
        ):
            raise InvalidInput("heads", f"line {number} is not a head")
        found.append(head)
    return found


def _signature(head: Head, key: bytes) -> str:
    return hmac.new(key, head.line.encode(), hashlib.sha256).hexdigest()
