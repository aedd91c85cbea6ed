"""
The bytes of a tick's call.

But for its head and its lines they are the same again and again, and the client's library writes
each word with `sprintf`: for a call of two lines that is a twentieth of what a request costs.
So all before the head is written once for each script and number of lines.
"""

from collections.abc import Sequence

import hiredis

from ledger.keys import Keys
from ledger.scripts import HEAD, Scripts, evalsha, keys_of


class CallBytes:
    """Calls of a shard's scripts, as RESP has them (redis.io, "protocol specification")."""

    def __init__(self, keys: Keys, scripts: Scripts) -> None:
        self._keys = keys
        self._scripts = scripts
        self._epoch = 0
        self._openings: dict[tuple[str, int], bytes] = {}  # of this epoch

    def of(self, name: str, epoch: int, head: bytes, lines: Sequence[bytes]) -> bytes:
        """
        Return the call of a script whose keys are the shard's four.

        Args:
            name: The script's file name without `.lua`.
            epoch: Of the keys.
            head: See `ledger.scripts.HEAD`.
            lines: What follows it; not so many that the openings kept become a burden.

        """
        if epoch != self._epoch:
            self._epoch, self._openings = epoch, {}
        kind = (name, len(lines))
        opening = self._openings.get(kind) or self._opened(kind)
        pieces = [opening, head]
        for line in lines:
            pieces += (_BEFORE[len(line)], line)
        pieces.append(b"\r\n")
        return b"".join(pieces)

    def _opened(self, kind: tuple[str, int]) -> bytes:
        """Write down what calls of this kind begin with: up to the bytes of the head."""
        name, count = kind
        words = evalsha(self._scripts[name], keys_of(self._keys, self._epoch), _NO_HEAD, ())
        whole: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
        _, _, rest = whole.partition(b"\r\n")
        opening = b"*%d\r\n%b" % (len(words) + count, rest.removesuffix(_NO_HEAD + b"\r\n"))
        self._openings[kind] = opening
        return opening


class _Before(dict[int, bytes]):
    """What stands between one word and the next, by the length of the next."""

    def __missing__(self, size: int) -> bytes:
        self[size] = before = b"\r\n$%d\r\n" % size
        return before


_BEFORE = _Before()
_NO_HEAD = bytes(HEAD.size)
