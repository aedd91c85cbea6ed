"""A kept answer given again: status, body, and of its headers what is still true."""

from typing import Final

from gateway.headers import Headers, downward
from gateway.request import Request
from ledger.replies import Reply

_BODILESS: Final = frozenset({204, 304})

# Of the first answer alone: a session that it opened, and how long it was, which is told anew.
_ONCE: Final = frozenset({b"set-cookie", b"set-cookie2", b"content-length"})


def replayable(headers: Headers, *, status: int, method: bytes) -> Headers:
    """Return the headers of an upstream's answer that are kept with it."""
    head = method == b"HEAD"  # there the length is all that tells of the body
    passed = downward(headers, status=status, head=head)
    return [
        header
        for header in passed
        if header[0] not in _ONCE or (head and header[0] == b"content-length")
    ]


async def send_reply(reply: Reply, request: Request, ours: Headers) -> int:
    """Answer with what was kept; return its body's bytes."""
    body = reply.body or b""
    headers = [*reply.headers, *ours, (b"farebox-replayed", b"true")]
    if request.method != b"HEAD" and reply.status not in _BODILESS:
        headers.append((b"content-length", b"%d" % len(body)))
    await request.turn.begin(reply.status, headers)
    await request.turn.body(body, more=False)
    return len(body)
