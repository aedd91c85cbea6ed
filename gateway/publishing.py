"""
An admin publishes prices: into the database, and into the price file where prices live there.

    draft beside the file ── version in Postgres ── draft takes the file's place ── "it has it"
                          │                      │                               │
          died: nothing   │   died: in force, and the file is old. A gateway     │  died: whole
          has changed     │   that starts does not publish it: it was in force.  │
                          │   The same publication again writes the file.        │

So nobody's author is lost, and what is in force is never half of something. While prices live
in the database no file is touched, and no gateway takes one.
"""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config import PriceFileError, PriceList, read_price_file
from gateway.price_feed import scales_of
from gateway.price_file import rule_of
from ledger import credit_types, gateways, price_versions
from ledger.database import Connection, Database
from ledger.errors import Conflict
from ledger.price_versions import Published

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class FilePlace:
    """
    Where the price file of a gateway is.

    gateway_id: Whose it is; empty where none runs.
    """

    path: Path
    gateway_id: str = ""


async def publish(
    database: Database,
    text: str,
    prices: PriceList,
    *,
    actor: str,
    expected: int | None,
    place: FilePlace | None,
) -> Published:
    """
    Publish a checked text in somebody's name; gateways follow within seconds.

    A repeat changes nothing, and does what a death left undone.

    Args:
        database: Postgres.
        text: The text, `${NAME}` unexpanded.
        prices: The text, read.
        actor: Who publishes.
        expected: The version that it is to follow, 0 for none; None: any.
        place: The price file; None where it is not known here.

    Raises:
        Conflict: Nothing changed. `prices-changed`: another version is in force. `scale-changed`.
            `prices-in-files`: the file cannot be written from here. `file-changed`: it has
            changes of its own.
        Conflict: `file-not-written`: it is in force, but the file is as it was.
    """
    async with database.connection() as connection:
        if prices.prices == "database":
            return await _into_database(connection, text, prices, actor=actor, expected=expected)
        async with price_versions.alone(connection):
            target = await _writable(connection, place)
            draft = _draft(target, text)
            try:
                published = await _into_database(
                    connection, text, prices, actor=actor, expected=expected
                )
                _put(draft, target, published.version)
            finally:
                draft.unlink(missing_ok=True)
            await price_versions.written(connection, published.version)
    return published


async def _into_database(
    connection: Connection, text: str, prices: PriceList, *, actor: str, expected: int | None
) -> Published:
    async with connection.transaction():
        await credit_types.register(connection, scales_of(prices))
        return await price_versions.publish(
            connection,
            text,
            [rule_of(route) for route in prices.routes],
            actor=actor,
            source="admin",
            home=prices.prices,
            expected=expected,
        )


async def _writable(connection: Connection, place: FilePlace | None) -> Path:
    """Return the file to write, if it is the only one and as the version in force has it."""
    others = [row.id for row in await gateways.running(connection)]
    if place is not None and place.gateway_id in others:
        others.remove(place.gateway_id)
    if others:
        raise _in_files(f"{', '.join(others)} would keep another file")
    if place is None:
        raise _in_files("the price file is not known here")
    target = place.path.resolve()
    if _is_mounted(target):
        raise _in_files(f"{target} is mounted by itself, so it cannot be replaced")
    if target.exists():
        await _check_unchanged(connection, target)
    return target


async def _check_unchanged(connection: Connection, target: Path) -> None:
    """Refuse to write over what somebody has changed in the file and not brought into force."""
    try:
        sha256 = hashlib.sha256(read_price_file(target).encode()).digest()
    except PriceFileError as error:
        raise _in_files(error.problems[0].message) from None
    current = await price_versions.current(connection)
    known = {await price_versions.in_file(connection), current and current.sha256}
    if current is not None and sha256 not in known:
        raise Conflict(
            "file-changed",
            f"{target} has changes that are not in force; look at them with "
            f"`farebox diff live {target}`, then take them over or undo them",
        )


def _draft(target: Path, text: str) -> Path:
    """Write the text beside the file, on disk before anybody is told, with the file's own mode."""
    draft = target.with_name(f".{target.name}.publishing")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - it is open already
            file.write(text)
            file.flush()
            os.fsync(descriptor)
            if target.exists():
                like = target.stat()
                os.fchmod(descriptor, like.st_mode & 0o777)
                if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                    with suppress(PermissionError):  # then it is ours from now on
                        os.fchown(descriptor, like.st_uid, like.st_gid)
            else:
                os.fchmod(descriptor, 0o644)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _in_files(f"{target} cannot be written: {error.strerror}") from error
    return draft


def _put(draft: Path, target: Path, version: int) -> None:
    """Let the draft take the file's place, whole or not at all."""
    try:
        draft.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Conflict(
            "file-not-written",
            f"version {version} is in force, but {target} could not be written "
            f"({error.strerror}): publish it again, or write it there",
        ) from error


def _is_mounted(target: Path) -> bool:
    """Whether a file is a mount of its own, as containers do it: nothing can take its place."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not on this system
        return False
    places = (line.split()[4].replace("\\040", " ") for line in mounts.splitlines())
    return str(target) in places


def _in_files(why: str) -> Conflict:
    sentence = f"prices live in files, and {why}: change the file itself, or say `prices: database`"
    return Conflict("prices-in-files", sentence)
