"""
What a Redis keeps, and the commands that the ledger uses, written in Python.

Every write can be taken back, newest first: that is what a crash that loses the end of the
append-only file does. A script's writes are one write, as they are in that file.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from tests.simulation.lua import CommandError

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
REMEMBERED = 24
"""Writes that can be taken back."""


class OK:
    """The reply to a write that has nothing to say."""


Position = tuple[int, int]
Undo = Callable[["Store"], None]


class Stream:
    """Entries in order of position; `last` is the highest there ever was."""

    def __init__(self) -> None:
        self.positions: list[Position] = []
        self.fields: list[list[bytes]] = []
        self.last: Position = (0, 0)

    def copy(self) -> "Stream":
        copied = Stream()
        copied.positions, copied.fields = list(self.positions), list(self.fields)
        copied.last = self.last
        return copied


class Store:
    """One data set. Commands take and return bytes, ints, None and lists, as replies have them."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes | dict[bytes, bytes] | Stream] = {}
        self.expires: dict[bytes, int] = {}
        self.now_ms = 0
        self._undo: deque[list[Undo]] = deque(maxlen=REMEMBERED)
        self._group: list[Undo] = []
        self._commands: dict[bytes, Callable[..., Any]] = {
            name.removeprefix("do_").upper().encode(): getattr(self, name)
            for name in dir(self)
            if name.startswith("do_")
        }

    def call(self, name: bytes, *args: bytes) -> Any:
        """Run one command; see `finish`."""
        command = self._commands.get(name.upper())
        if command is None:
            raise CommandError(f"ERR unknown command '{name.decode()}'")
        return command(*args)

    def finish(self) -> None:
        """End what counts as one write."""
        if self._group:
            self._undo.append(self._group)
            self._group = []

    def rolled_back(self, writes: int) -> "Store":
        """Return a copy without the last writes."""
        copied = self.copy()
        for group in list(self._undo)[::-1][:writes]:
            for undo in reversed(group):
                undo(copied)
        copied._undo.extend(list(self._undo)[: max(len(self._undo) - writes, 0)])
        return copied

    def copy(self) -> "Store":
        copied = Store()
        copied.now_ms = self.now_ms
        copied.expires = dict(self.expires)
        for key, value in self.data.items():
            copied.data[key] = value if isinstance(value, bytes) else value.copy()
        return copied

    def do_time(self) -> list[bytes]:
        return [b"%d" % (self.now_ms // 1_000), b"%d" % (self.now_ms % 1_000 * 1_000)]

    def do_get(self, key: bytes) -> bytes | None:
        value = self._live(key)
        if value is not None and not isinstance(value, bytes):
            raise CommandError(WRONG_TYPE)
        return value

    def do_set(self, key: bytes, value: bytes, *options: bytes) -> type[OK]:
        self._remember(key)
        self.data[key] = value
        self.expires.pop(key, None)
        if options:
            assert options[0].upper() == b"PX"
            self.expires[key] = self.now_ms + int(options[1])
        return OK

    def do_del(self, *keys: bytes) -> int:
        gone = [key for key in dict.fromkeys(keys) if self._live(key) is not None]
        for key in gone:
            self._remember(key)
            del self.data[key]
            self.expires.pop(key, None)
        return len(gone)

    def do_unlink(self, *keys: bytes) -> int:
        return self.do_del(*keys)

    def do_flushall(self) -> type[OK]:
        self.do_del(*list(self.data))
        return OK

    def do_hget(self, key: bytes, field: bytes) -> bytes | None:
        return self._hash(key).get(field)

    def do_hexists(self, key: bytes, field: bytes) -> int:
        return int(field in self._hash(key))

    def do_hlen(self, key: bytes) -> int:
        return len(self._hash(key))

    def do_hmget(self, key: bytes, *fields: bytes) -> list[bytes | None]:
        found = self._hash(key)
        return [found.get(field) for field in fields]

    def do_hset(self, key: bytes, *pairs: bytes) -> int:
        stored = self._hash(key, make=True)
        new = 0
        for field, value in zip(pairs[::2], pairs[1::2], strict=True):
            before = stored.get(field)
            new += before is None
            self._group.append(lambda store, f=field, b=before: store._put_back(key, f, b))
            stored[field] = value
        return new

    def do_hsetnx(self, key: bytes, field: bytes, value: bytes) -> int:
        return 0 if field in self._hash(key) else self.do_hset(key, field, value)

    def do_hdel(self, key: bytes, *fields: bytes) -> int:
        stored, gone = self._hash(key), 0
        for field in fields:
            before = stored.pop(field, None)
            if before is not None:
                gone += 1
                self._group.append(lambda store, f=field, b=before: store._put_back(key, f, b))
        if gone and not stored:
            self.data.pop(key)
        return gone

    def do_hscan(self, key: bytes, _cursor: bytes, *options: bytes) -> list[Any]:
        asked = dict(zip((word.upper() for word in options[::2]), options[1::2], strict=True))
        prefix = asked.get(b"MATCH", b"*").removesuffix(b"*")
        flat = [
            part
            for field, value in list(self._hash(key).items())
            if field.startswith(prefix)
            for part in (field, value)
        ]
        return [b"0", flat]

    def do_xadd(self, key: bytes, position: bytes, *fields: bytes) -> bytes:
        at = _position(position)
        stream = self._stream(key)
        if stream is None:
            stream = self.data[key] = Stream()
            self._group.append(lambda store: store.data.pop(key))
        if at <= stream.last:
            raise CommandError(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item"
            )
        before = stream.last
        stream.positions.append(at)
        stream.fields.append(list(fields))
        stream.last = at
        self._group.append(lambda store: _take_back_last(store.data[key], before))
        return position

    def do_xrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> list[Any]:
        stream = self._stream(key)
        if stream is None:
            return []
        begin = (
            bisect_right(stream.positions, _position(first[1:]))
            if first.startswith(b"(")
            else bisect_left(stream.positions, _position(first))
        )
        end = (
            len(stream.positions)
            if last == b"+"
            else bisect_right(stream.positions, _position(last))
        )
        if options:
            assert options[0].upper() == b"COUNT"
            end = min(end, begin + int(options[1]))
        return [[b"%d-%d" % stream.positions[i], list(stream.fields[i])] for i in range(begin, end)]

    def do_xtrim(self, key: bytes, how: bytes, least: bytes) -> int:
        assert how.upper() == b"MINID"
        stream = self._stream(key)
        if stream is None:
            return 0
        cut = bisect_left(stream.positions, _position(least))
        if cut:
            positions, fields = stream.positions[:cut], stream.fields[:cut]
            del stream.positions[:cut], stream.fields[:cut]
            self._group.append(lambda store: _put_before(store.data[key], positions, fields))
        return cut

    def _live(self, key: bytes) -> Any:
        until = self.expires.get(key)
        if until is not None and until <= self.now_ms:
            self.data.pop(key, None)
            del self.expires[key]
        return self.data.get(key)

    def _hash(self, key: bytes, *, make: bool = False) -> dict[bytes, bytes]:
        value = self._live(key)
        if value is None:
            value = {}
            if make:
                self.data[key] = value
        if not isinstance(value, dict):
            raise CommandError(WRONG_TYPE)
        return value

    def _stream(self, key: bytes) -> Stream | None:
        value = self._live(key)
        if value is not None and not isinstance(value, Stream):
            raise CommandError(WRONG_TYPE)
        return value

    def _remember(self, key: bytes) -> None:
        value, until = self._live(key), self.expires.get(key)
        kept = value if value is None or isinstance(value, bytes) else value.copy()
        self._group.append(lambda store: store._restore(key, kept, until))

    def _restore(self, key: bytes, value: Any, until: int | None) -> None:
        self.data.pop(key, None)
        self.expires.pop(key, None)
        if value is not None:
            self.data[key] = value if isinstance(value, bytes) else value.copy()
            if until is not None:
                self.expires[key] = until

    def _put_back(self, key: bytes, field: bytes, value: bytes | None) -> None:
        stored = self._hash(key, make=True)
        if value is None:
            stored.pop(field, None)
            if not stored:
                del self.data[key]
        else:
            stored[field] = value


def _position(text: bytes) -> Position:
    milliseconds, _, number = text.partition(b"-")
    return int(milliseconds), int(number or 0)


def _take_back_last(stream: Any, before: Position) -> None:
    stream.positions.pop()
    stream.fields.pop()
    stream.last = before


def _put_before(stream: Any, positions: Iterable[Position], fields: Iterable[list[bytes]]) -> None:
    stream.positions[:0] = positions
    stream.fields[:0] = fields
