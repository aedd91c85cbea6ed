"""
The heads this gateway exported, beside the key that signs them: both outside of the database.

The elected steward adds a head each hour. The file grows by 400 bytes for each hour in which
something happened, and is meant to be copied to where nobody who can write to Postgres can.
"""

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from config import Settings
from gateway.data_folder import DataFolder
from gateway.startup import Refused
from ledger.heads import SHORTEST_KEY_BYTES, Head, key_name, read_heads, sign, signed_by, take
from ledger.ledger import Ledger
from ledger.ports import Clock

KEY_FILE = "head-key"
HEADS_FILE = "heads.jsonl"
KEY_BYTES = 32


class HeadBook:
    """The heads and the key of one gateway."""

    def __init__(self, settings: Settings) -> None:
        self._folder = DataFolder(settings.data)
        self._key_file = settings.head_key_file

    @property
    def path(self) -> Path:
        """Where the heads are."""
        return self._folder.path / HEADS_FILE

    def known_key(self) -> bytes | None:
        """
        Return the key, if there is one.

        Raises:
            Refused: A file is named, and it cannot be used.

        """
        if self._key_file is None:
            kept = self._folder.secret(KEY_FILE)
            return None if kept is None else kept[0].encode()
        try:
            key = self._key_file.read_bytes().strip()
        except OSError as error:
            raise Refused([f"FAREBOX_HEAD_KEY_FILE cannot be read ({error.strerror})"]) from error
        if len(key) < SHORTEST_KEY_BYTES:
            raise Refused([f"FAREBOX_HEAD_KEY_FILE has less than {SHORTEST_KEY_BYTES} bytes"])
        return key

    def key(self) -> bytes:
        """Return the key; without one that is named, the first call makes one."""
        known = self.known_key()
        if known is not None:
            return known
        made = secrets.token_hex(KEY_BYTES)
        self._folder.keep_secret(KEY_FILE, made)
        return made.encode()

    def heads(self) -> list[Head]:
        """Return what was exported here, the oldest first."""
        try:
            return read_heads(self.path.read_text("utf-8").splitlines())
        except FileNotFoundError:
            return []

    async def add(self, ledger: Ledger, clock: Clock) -> Head:
        """Sign the head as it is now and keep it, unless it is the one kept last."""
        now = datetime.fromtimestamp(clock.now_ms() / 1_000, UTC)
        kept, key = self.heads(), self.key()
        last = kept[-1] if kept and signed_by(kept[-1], key) else None
        async with ledger.database.connection() as connection:
            head = sign(await take(connection, ledger.options.shard, now, last), key)
        if last is not None and _what(last) == _what(head):
            return last
        self._folder.append(HEADS_FILE, head.line)
        return head


def signature_sentence(head: Head, key: bytes | None) -> str | None:
    """Say what is wrong with a head's signature; None: it is good, or cannot be looked at."""
    if key is None:
        return None
    if head.key != key_name(key):
        return f"the head of {head.at} is signed with key {head.key or '?'}, not {key_name(key)}"
    if not signed_by(head, key):
        return f"the head of {head.at} is not as it was signed"
    return None


def _what(head: Head) -> Head:
    """Return a head without when it was looked at."""
    return replace(head, at="", signature="")
