"""
One request head: is it a request we understand in only one way, and what body follows it.

One scan by one expression decides on the grammar; what remains is asked of the few headers
that frame. Nobody reads the bytes a second time: what is judged here is what the application gets.
"""

import re
from functools import lru_cache

from gateway.framing.limits import FramingLimits
from gateway.framing.refusal import Refusal
from gateway.header_lines import HEADER_LINE, LENGTH, TOKEN, Headers, fields

HEAD = re.compile(
    rb"(%b++) ([!-~]++) HTTP/([0-9])\.([0-9])\r\n((?:%b)*+)\r\n" % (TOKEN, HEADER_LINE)
)
_REQUEST_LINE = re.compile(rb"%b++ [!-~]++ HTTP/[0-9]\.[0-9]\r\n" % TOKEN)

# The headers that decide on framing and on the connection.
_DECISIVE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"}
)

# A tab is legal, and where parsers have been made to differ.
_TAB_BEFORE_CODING = re.compile(rb"(?:^|\n)transfer-encoding: *\t", re.IGNORECASE)
_UNKNOWN_CODING = Refusal(400, "bad-length", "The only Transfer-Encoding known here is chunked.")
_HOST = re.compile(
    rb"(?:[0-9A-Za-z_](?:[0-9A-Za-z._-]{0,253}[0-9A-Za-z_.])?|\[[0-9A-Fa-f:.]{2,45}\])"
    rb"(?::([1-9][0-9]{0,4}))?"
)
_LARGEST_PORT = 65_535
_SLASH = ord("/")
_KNOWN_BUT_REFUSED = frozenset({b"CONNECT", b"TRACE"})

TRAILER_LINE = re.compile(HEADER_LINE)


class Block:
    """
    What the header lines of a head say.

    Clients send the same lines again and again on a connection: these are read once, and heads
    that have them share one block.

    Attributes:
        lines: As they came.
        headers: Names in lower case, in their order; those that must not have effect are gone.
        body_bytes: Length of the body; -1 if it is chunked.
        last: No further request is read from the connection.
        old: It is HTTP/1.0.
        upgrade: A WebSocket handshake: what follows it is no request.
        expects: The client waits for `100 Continue` before it sends the body.
        reading: What the application has made of the headers, for the next request that has them.
    """

    __slots__ = (
        "body_bytes",
        "expects",
        "headers",
        "last",
        "lines",
        "old",
        "reading",
        "upgrade",
    )

    def __init__(self, lines: bytes, headers: Headers) -> None:
        self.lines = lines
        self.headers = headers
        self.body_bytes = 0
        self.last = False
        self.old = False
        self.upgrade = False
        self.expects = False
        self.reading: object = None


class Head:
    """
    An acceptable request head.

    Attributes:
        method: As it was written, as is `target`, which begins with a slash.
        block: What its header lines say.
    """

    __slots__ = ("block", "method", "target")

    def __init__(self, method: bytes, target: bytes, block: Block) -> None:
        self.method = method
        self.target = target
        self.block = block


def read_head(head: bytes, limits: FramingLimits) -> Head | Refusal:
    """Judge a head that ends with its empty line and is within the limits of size."""
    match = HEAD.fullmatch(head)
    if match is None:
        return Refusal(400, "bad-request", _what_is_wrong(head))
    return judge(match, limits)


def judge(
    match: re.Match[bytes], limits: FramingLimits, before: Block | None = None
) -> Head | Refusal:
    """Judge what `HEAD` has matched; `before`: of the head before it on the connection."""
    method, target, major, minor, lines = match.groups()
    if method not in limits.methods:
        return _method_refused(method, limits)
    if major != b"1" or minor not in b"01":
        return Refusal(505, "version-unknown", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if target[0] != _SLASH or b"#" in target:
        return Refusal(400, "bad-path", "The request target must be a path that begins with /.")
    if before is not None and lines == before.lines and minor == b"1" and not before.old:
        return Head(method, target, before)
    block = _block(lines, limits, old=minor == b"0")
    return block if isinstance(block, Refusal) else Head(method, target, block)


def _block(lines: bytes, limits: FramingLimits, *, old: bool) -> Block | Refusal:
    headers = fields(lines)
    if len(headers) > limits.header_lines:
        return Refusal(431, "headers-too-large", f"More than {limits.header_lines} header lines.")
    block = Block(lines, headers)
    decisive = [header for header in headers if header[0] in _DECISIVE]
    if not old and len(decisive) == 1:
        name, value = decisive[0]
        if name == b"host" and _is_host(value):
            return block  # as most requests are
    block.old = old
    decisive = [(name, value.lower()) for name, value in decisive]
    if refusal := _host_refused(decisive, old=old):
        return refusal
    length = _body_length(decisive, old=old)
    if isinstance(length, Refusal):
        return length
    if length < 0 and _TAB_BEFORE_CODING.search(lines):
        return _UNKNOWN_CODING
    block.body_bytes = length
    block.last = old or b"close" in _tokens(decisive, b"connection")
    return _unusual(block, decisive)


def _method_refused(method: bytes, limits: FramingLimits) -> Refusal:
    if method in _KNOWN_BUT_REFUSED:
        allow = b", ".join(limits.methods)
        return Refusal(405, "method-not-allowed", "This method is never passed on.", allow)
    return Refusal(501, "method-unknown", "This method is not known here.")


def _values(decisive: Headers, name: bytes) -> list[bytes]:
    return [value.strip(b" \t") for each, value in decisive if each == name]


def _tokens(decisive: Headers, name: bytes) -> set[bytes]:
    return {token.strip(b" \t") for value in _values(decisive, name) for token in value.split(b",")}


def _host_refused(decisive: Headers, *, old: bool) -> Refusal | None:
    hosts = _values(decisive, b"host")
    if len(hosts) != 1:
        # HTTP/1.0 knew no Host; some health checks still speak it.
        if old and not hosts:
            return None
        return Refusal(400, "bad-host", "A request has exactly one Host header.")
    if not _is_host(hosts[0]):
        return Refusal(400, "bad-host", "The Host header is a name or address, and maybe a port.")
    return None


@lru_cache(maxsize=256)  # a gateway is called by few names
def _is_host(value: bytes) -> bool:
    match = _HOST.fullmatch(value.strip(b" \t"))
    return match is not None and (not match[1] or int(match[1]) <= _LARGEST_PORT)


def _body_length(decisive: Headers, *, old: bool) -> int | Refusal:
    lengths = _values(decisive, b"content-length")
    codings = [value for name, value in decisive if name == b"transfer-encoding"]
    if not lengths and not codings:
        return 0
    if len(lengths) + len(codings) != 1:
        return Refusal(400, "bad-length", "A request has one length: two headers give one each.")
    if lengths:
        if not LENGTH.fullmatch(lengths[0]):
            return Refusal(400, "bad-length", "Content-Length is one plain number.")
        return int(lengths[0])
    if old:
        return Refusal(400, "bad-length", "HTTP/1.0 has no Transfer-Encoding.")
    if codings[0].strip(b" ") != b"chunked":
        return _UNKNOWN_CODING
    return -1


def _unusual(block: Block, decisive: Headers) -> Block | Refusal:
    """Judge what may be asked besides: another protocol, or a 100 first."""
    expected = _values(decisive, b"expect")
    if expected and block.old:
        _drop(block, b"expect")  # a client of that age would not understand a 100
    elif expected == [b"100-continue"]:
        block.expects = True
    elif expected:
        return Refusal(417, "expectation-failed", "The only Expect known here is 100-continue.")
    upgrades = _values(decisive, b"upgrade")
    asked = b"upgrade" in _tokens(decisive, b"connection")
    if upgrades == [b"websocket"] and asked and not block.old:
        if block.body_bytes:
            return Refusal(400, "bad-request", "A WebSocket handshake has no body.")
        block.last = block.upgrade = True
    elif upgrades:
        # Any other protocol, h2c above all, would take the connection out of our sight, and
        # HTTP/1.0 knows no upgrade (RFC 9110 7.8).
        _drop(block, b"upgrade")
    return block


def _drop(block: Block, name: bytes) -> None:
    block.headers = [header for header in block.headers if header[0] != name]


def _what_is_wrong(head: bytes) -> str:
    """Say which rule a malformed head breaks; the first that applies."""
    if b"\0" in head:
        return "The head holds a NUL byte."
    if head.count(b"\r") != head.count(b"\r\n"):
        return "The head holds a carriage return without a line feed."
    if not _REQUEST_LINE.match(head):
        return "The first line must be a method, a path and HTTP/1.1, with one space between."
    if b"\n " in head or b"\n\t" in head:
        return "A header is continued on the next line."
    return "A header line is malformed."
