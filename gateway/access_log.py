"""
One JSON line per request, written in batches.

A logging call per request costs as much as a tenth of the request, so a request only appends
a tuple here; lines are made and written together, off the event loop: a few times a second, and
whenever many wait.
The fields are an allow-list: no header, no query, no body and no path but the route's
own, so that no key, token or name a client sends can end in the log.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from ledger.ids import account_text, key_text

FLUSH_EVERY_S = 0.1  # seen soon enough to be read along
LINES_AT_ONCE = 200  # some 60 KB of text: what is made at once stays in the process for good
MANY = 400  # some 120 KB, which stay in the process as well: they are written now
MAX_WAITING = 20_000  # some seconds at full speed; beyond it a stuck reader costs lines, not memory

_DOCUMENT = (
    '{"at":"%s.%06d+00:00","id":"%s"%s,"captured":%d,"reason":%s'
    ',"ms":%d.%03d,"sent_bytes":%d,"client":%s}\n'
)

_log = logging.getLogger(__name__)


class Line(NamedTuple):
    """
    What is said of one request.

    Attributes:
        at_us: When it began, microseconds since 1970.
        route: The route's name; empty where none matched.
        account, key: Their numbers; 0 where nobody was known.
        reason: Why it was refused (a problem's name) or how it ended (a reason's word).
        captured: Smallest units of the credit type; what the settlement will take.
        sent_bytes: Of the answer's body.
    """

    at_us: int
    request_id: str
    method: str
    route: str
    status: int
    account: int
    key: int
    captured: int
    reason: str
    duration_us: int
    sent_bytes: int
    client: str


class AccessLog:
    """
    Collects lines and writes them in batches.

    Args:
        write: Takes the bytes of whole lines; called in a thread, one call at a time.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._waiting: list[Line] = []
        self._many = asyncio.Event()
        self._dropped = 0

    def add(self, line: Line) -> None:
        """Queue a line; never blocks. Dropped, and counted, while MAX_WAITING wait."""
        if len(self._waiting) < MANY:
            self._waiting.append(line)
            return
        self._many.set()
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(line)
        else:
            self._dropped += 1

    async def run(self) -> None:
        """Write what waits, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_EVERY_S):
                    await self._many.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits now. A writer that fails costs these lines and is said once."""
        if not self._waiting:
            return
        lines, self._waiting = self._waiting, []
        self._many.clear()
        lost, error = await asyncio.to_thread(self._write_all, lines)
        if error is not None:
            _log.warning("the access log cannot be written: %s; %d lines lost", error, lost)
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            _log.warning("the access log is written too slowly: %d lines lost", dropped)

    def _write_all(self, lines: list[Line]) -> tuple[int, OSError | None]:
        """Write as many as can be written; return how many were lost, and why."""
        for first in range(0, len(lines), LINES_AT_ONCE):
            try:
                self._write(render(lines[first : first + LINES_AT_ONCE]))
            except OSError as error:
                return len(lines) - first, error
        return 0, None


def render(lines: list[Line]) -> bytes:
    """Return the lines as JSON documents, one per line."""
    return "".join(map(_document, lines)).encode()


def _document(line: Line) -> str:
    # Written out, without a float or a format of its own for any field: `json.dumps` of the same
    # costs four times as much, on every request.
    at_us, request_id, method, route, status, account, key, captured, reason, us, sent, client = (
        line
    )
    return _DOCUMENT % (
        _moment(at_us // 1_000_000),
        at_us % 1_000_000,
        request_id,
        _asked(method, route, status, account, key),
        captured,
        _quoted(reason),
        us // 1_000,
        us % 1_000,
        sent,
        _quoted(client),
    )


# A caller asks for the same things again and again.
@lru_cache(maxsize=4096)
def _asked(method: str, route: str, status: int, account: int, key: int) -> str:
    account_shown = f'"{account_text(account)}"' if account else "null"
    key_shown = f'"{key_text(key)}"' if key else "null"
    return (
        f',"method":{_quoted(method)},"route":{_quoted(route)},"status":{status}'
        f',"account":{account_shown},"key":{key_shown}'
    )


@lru_cache(maxsize=64)
def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


# Methods, routes, reasons and most clients are the same few thousand texts again and again.
@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    return json.dumps(text)
