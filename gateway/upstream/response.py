"""
One response at a time out of a stream of bytes, judged as it is read. No I/O.

Most responses come with their whole head in one piece and tell their length: these are read by one
expression. All others are read by httptools (llhttp), which is strict on lines, lengths and chunks;
what it lets pass and we do not, and all limits, are below.
"""

import re
from typing import Any

import httptools

from gateway.header_lines import HEADER_LINE, LENGTH, fields
from gateway.upstream.door import Headers
from gateway.upstream.errors import UpstreamInvalid
from gateway.upstream.limits import UpstreamLimits

_FIRST_STATUS = 100
_FIRST_FINAL_STATUS = 200
_LAST_STATUS = 599
_SWITCHING_PROTOCOLS = 101
_NO_BODY = frozenset({204, 304})
# One that names a transfer coding tells no length: that is seen here, before its lines are read.
_USUAL = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9]) [\t -~\x80-\xff]*+\r\n((?:(?![Tt]ransfer-[Ee]nc)%b)*+)\r\n"
    % HEADER_LINE
)
# All but the first three only the other reader knows to judge.
_DECISIVE = frozenset(
    {b"content-length", b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_TIMEOUT = re.compile(rb"(?:^|[,;\s])timeout=\"?([0-9]{1,9})", re.IGNORECASE)
FRAMING_HEADERS = frozenset({b"content-length", b"transfer-encoding"})


class Seen:
    """
    A usual head, as it came, and what was read of it; upstreams send the same again and again.

    Attributes:
        head_bytes: Its length.
        whole_bytes: Its length with that of the body it tells.
        below: What the caller has made of it, for the next response that begins with it.
    """

    __slots__ = (
        "below",
        "head",
        "head_bytes",
        "headers",
        "keep",
        "keep_s",
        "length",
        "status",
        "whole_bytes",
    )

    def __init__(
        self,
        head: bytes,
        status: int,
        headers: Headers,
        length: int,
        *,
        keep: bool,
        keep_s: int | None,
    ) -> None:
        self.head = head
        self.head_bytes = len(head)
        self.whole_bytes = len(head) + length
        self.status = status
        self.headers = headers
        self.length = length
        self.keep = keep
        self.keep_s = keep_s
        self.below: object = None


class ResponseReader:
    """
    Reads the responses of one connection.

    Attributes:
        started: Some byte of a response has come.
        head_done: `status` and `headers` are those of the final response.
        done: The body is complete.
        keep: The upstream lets the connection be used again.
        keep_s: For how long it says so (`Keep-Alive: timeout=5`); None where it does not say.
        dirty: Bytes came that belong to no response; the connection is not to be used again.
        buffered: Bytes of body that were not taken yet.
        switched: The upstream has left HTTP, as it was asked to; the body is what it said since.
        seen: The head, where it was a usual one.
    """

    def __init__(self, limits: UpstreamLimits) -> None:
        self._limits = limits
        self._parser: Any = httptools.HttpResponseParser(self)
        self._head_only = False
        self._last: Seen | None = None
        self.begin(head_only=False)

    def begin(self, *, head_only: bool, websocket: bool = False) -> None:
        """Expect a response; `head_only` for HEAD, `websocket` where 101 is welcome."""
        if self._head_only:
            # The parser still waits for the body that the answer to HEAD only announced.
            self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._websocket = websocket
        self.switched = False
        self.status = 0
        self.headers: Headers = []
        self.started = False
        self.head_done = False
        self.done = False
        self.keep = False
        self.keep_s: int | None = None
        self.dirty = False
        self.buffered = 0
        self.seen: Seen | None = None
        self._pieces: list[bytes] = []
        self._left = -1  # of a body whose bytes we count; -1: httptools reads
        self._until_close = False
        self._informational = 0
        self._quiet = 0

    def again(self, data: bytes) -> Seen | None:
        """
        Return the usual head that came last, if this is one more response that begins with it.

        And only if its whole body is here, and nothing else. For a request of which `begin` has
        nothing to know. Nothing is noted of it: what comes next is another response, unless the
        caller has no use for this and gives it to `feed`.
        """
        last = self._last
        if (
            last is None
            or self.started
            or len(data) != last.whole_bytes
            or not data.startswith(last.head)
        ):
            return None
        return last

    def feed(self, data: bytes) -> None:
        """Read on. Raises UpstreamInvalid; what had come of the body before can be taken."""
        if not self.started:
            self.started = True
            if not (self._head_only or self._websocket) and self._usual(data):
                return
        elif self._left >= 0:
            self._counted(data)
            return
        if self.switched:
            self._pieces.append(data)
            self.buffered += len(data)
            return
        self._quiet += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as end:
            if self.status != _SWITCHING_PROTOCOLS:
                self._refuse("101 Switching Protocols, which nobody asked for")
            self.switched = True
            self._quiet = 0
            if early := data[end.args[0] :]:
                self.feed(early)
            return
        except httptools.HttpParserCallbackError as error:
            # Raised by our own methods below, and wrapped by the parser.
            self._refuse(str(error.__context__ or error))
        except httptools.HttpParserError as error:
            self._refuse(str(error))
        if self._quiet > self._limits.head_bytes:
            self._refuse("more than the allowed bytes without a piece of body")

    def _usual(self, data: bytes) -> bool:
        """Read a response whose head is here and tells the length; False leaves it unread."""
        last = self._last
        if last is not None and data.startswith(last.head):
            self._take(last, data)
            return True
        match = _USUAL.match(data)
        if match is None or match.end() > self._limits.head_bytes:
            return False
        status_text, lines = match.groups()
        headers = fields(lines)
        if b" \r" in lines or b"\t\r" in lines:
            headers = [(name, value.rstrip(b" \t")) for name, value in headers]
        status = int(status_text)
        if len(headers) > self._limits.header_lines or status in _NO_BODY:
            return False
        length = -1
        keep = True
        keep_s: int | None = None
        for name, value in headers:
            if name not in _DECISIVE:
                continue
            if name == b"content-length":
                if length >= 0 or not LENGTH.fullmatch(value):
                    return False
                length = int(value)
            elif name == b"connection":
                keep = keep and value.lower() != b"close"
                if keep and value.lower() != b"keep-alive":
                    return False
            elif name == b"keep-alive":
                keep_s = _kept_for(value)
            else:
                return False
        if length < 0:
            return False
        last = self._last = Seen(match[0], status, headers, length, keep=keep, keep_s=keep_s)
        self._take(last, data)
        return True

    def _take(self, seen: Seen, data: bytes) -> None:
        self.seen = seen
        self.status = seen.status
        self.headers = seen.headers
        self.keep = seen.keep
        self.keep_s = seen.keep_s
        self.head_done = True
        self._left = seen.length
        self._counted(data[seen.head_bytes :])

    def _counted(self, data: bytes) -> None:
        """Keep what belongs to a body of known length."""
        left = self._left
        if len(data) > left:
            self.dirty = True
            data = data[:left]
        if data:
            self._pieces.append(data)
            self.buffered += len(data)
            self._left = left = left - len(data)
        if not left:
            self.done = True

    def end(self) -> None:
        """Note that the connection has ended in an orderly way."""
        self.done = self.done or self._until_close

    def take(self) -> bytes:
        """Give what has come of the body since the last time."""
        pieces, self._pieces = self._pieces, []
        self.buffered = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _refuse(self, why: str) -> None:
        # After a whole response only what follows it is wrong.
        self.dirty = True
        if not self.done:
            raise UpstreamInvalid(why) from None

    # What the parser calls

    def on_message_begin(self) -> None:
        """Forget an interim response's headers; a second final response is not ours."""
        if self.done:
            self.dirty = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are dropped."""
        if not self.head_done:
            self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Judge the head: the parser has refused doubled and contradicting lengths already."""
        if self.head_done:
            return
        status: int = self._parser.get_status_code()
        if status == _SWITCHING_PROTOCOLS and self._websocket:
            self._switching()
            return
        if status < _FIRST_FINAL_STATUS:
            self._interim(status)
            return
        if status > _LAST_STATUS:
            raise UpstreamInvalid(f"status {status}")
        self._check_size()
        self.keep = self._parser.should_keep_alive()
        self.status = status
        self._until_close = self._framing() and status not in _NO_BODY and not self._head_only
        self._quiet = 0
        self.head_done = True
        self.done = self._head_only

    def on_body(self, data: bytes) -> None:
        """Keep a piece of body."""
        if self.done:
            self.dirty = True
            return
        self._quiet = 0
        self._pieces.append(data)
        self.buffered += len(data)

    def on_message_complete(self) -> None:
        """Note the end of the body; an interim response and a 101 have none."""
        if self.head_done and self.status != _SWITCHING_PROTOCOLS:
            self.done = True

    def _switching(self) -> None:
        """Judge the head of a 101; the parser stops behind it if it names the new protocol."""
        if not self._parser.should_upgrade():
            raise UpstreamInvalid("101 that does not say to which protocol")
        self._check_size()
        if any(name in FRAMING_HEADERS for name, _ in self.headers):
            raise UpstreamInvalid("101 that announces a body")
        self.status = _SWITCHING_PROTOCOLS
        self.head_done = True

    def _check_size(self) -> None:
        if len(self.headers) > self._limits.header_lines or (
            self._quiet > self._limits.head_bytes and self._head_bytes() > self._limits.head_bytes
        ):
            raise UpstreamInvalid("the response head is too large")

    def _interim(self, status: int) -> None:
        self._informational += 1
        if status < _FIRST_STATUS or status == _SWITCHING_PROTOCOLS:
            raise UpstreamInvalid(f"status {status}, which nobody asked for")
        if self._informational > self._limits.informational:
            raise UpstreamInvalid("too many interim responses")
        if any(name in FRAMING_HEADERS for name, _ in self.headers):
            # Forbidden (RFC 9110 8.6, RFC 9112 6.1), and where parsers have been made to differ.
            raise UpstreamInvalid("an interim response that announces a body")
        self.headers = []

    def _head_bytes(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _framing(self) -> bool:
        """Check the length headers; True if only the end of the connection ends the body."""
        codings = lengths = 0
        for name, value in self.headers:
            if name == b"content-length":
                lengths += 1
            elif name == b"transfer-encoding":
                codings += 1
                if value.lower() != b"chunked":
                    raise UpstreamInvalid("a transfer coding other than chunked")
            elif name == b"keep-alive":
                self.keep_s = _kept_for(value)
        if codings + lengths > 1:
            raise UpstreamInvalid("more than one length")
        # Asked only here, for a version other than 1.1 is never kept alive without being asked to.
        if (codings or not self.keep) and self._parser.get_http_version() not in (
            ("1.1",) if codings else ("1.0", "1.1")
        ):
            raise UpstreamInvalid("a version of HTTP that cannot be framed like this")
        return not codings and not lengths


def _kept_for(value: bytes) -> int | None:
    """Read a Keep-Alive header; RFC 2068 19.7.1.1 and every server since write it so."""
    match = _TIMEOUT.search(value)
    return int(match[1]) if match else None
