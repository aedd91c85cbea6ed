"""
One request head: is it a request we understand in only one way, and what body follows it.

One scan by one expression decides on the grammar; what remains is asked of the few headers
that frame. uvicorn's parser (llhttp) is strict too, but takes two Hosts, none, absolute targets
and HTTP/1.0 with Transfer-Encoding, and says no reason.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from gateway.framing.limits import FramingLimits
from gateway.framing.refusal import Refusal

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_HEADER_LINE = _TOKEN + rb"++:[\t -~\x80-\xff]*+\r\n"
# Possessive throughout: it never goes back, so its time is linear in the head.
HEAD = re.compile(
    rb"(%b++) ([!-~]++) HTTP/([0-9])\.([0-9])\r\n((?:%b)*+)\r\n" % (_TOKEN, _HEADER_LINE)
)
_REQUEST_LINE = re.compile(rb"%b++ [!-~]++ HTTP/[0-9]\.[0-9]\r\n" % _TOKEN)

# The headers that decide on framing and on the connection, in lower-cased lines.
_DECISIVE = re.compile(
    rb"\n(host|content-length|transfer-encoding|connection|upgrade|expect):([^\r]*)"
)

# One to fifteen digits: below 2^53 and beyond any body; no sign, no list, no leading zero.
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,14}")
_HOST = re.compile(
    rb"(?:[0-9A-Za-z_](?:[0-9A-Za-z._-]{0,253}[0-9A-Za-z_.])?|\[[0-9A-Fa-f:.]{2,45}\])"
    rb"(?::([1-9][0-9]{0,4}))?"
)
_LARGEST_PORT = 65_535
_SLASH = ord("/")
_KNOWN_BUT_REFUSED = frozenset({b"CONNECT", b"TRACE"})

TRAILER_LINE = re.compile(_HEADER_LINE)


class Head(NamedTuple):
    """
    An acceptable request head.

    Attributes:
        passed: What may be passed on: the head, without the headers that must not have effect.
        body_bytes: Length of the body; -1 if it is chunked.
        last: No further request is read from the connection.
        upgrade: A WebSocket handshake: what follows it is no request.
    """

    passed: bytes
    body_bytes: int
    last: bool
    upgrade: bool = False


_Fields = list[tuple[bytes, bytes]]


def read_head(head: bytes, limits: FramingLimits) -> Head | Refusal:
    """Judge a head that ends with its empty line and is within the limits of size."""
    match = HEAD.fullmatch(head)
    if match is None:
        return Refusal(400, "bad-request", _what_is_wrong(head))
    return judge(match, limits)


def judge(match: re.Match[bytes], limits: FramingLimits) -> Head | Refusal:
    """Judge what `HEAD` has matched."""
    method, target, major, minor, lines = match.groups()
    if method not in limits.methods:
        return _method_refused(method, limits)
    if major != b"1" or minor not in b"01":
        return Refusal(505, "version-unknown", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if target[0] != _SLASH or b"#" in target:
        return Refusal(400, "bad-path", "The request target must be a path that begins with /.")
    if lines.count(b"\n") > limits.header_lines:
        return Refusal(431, "headers-too-large", f"More than {limits.header_lines} header lines.")
    fields: _Fields = _DECISIVE.findall(b"\n" + lines.lower())
    old = minor == b"0"
    if len(fields) == 1 and not old:
        name, value = fields[0]
        if name == b"host" and _is_host(value):
            return Head(match[0], 0, last=False)  # as most requests are
    if refusal := _host_refused(fields, old=old):
        return refusal
    length = _body_length(fields, old=old)
    if isinstance(length, Refusal):
        return length
    last = old or b"close" in _tokens(fields, b"connection")
    return _unusual(match[0], fields, length, old=old, last=last)


def _method_refused(method: bytes, limits: FramingLimits) -> Refusal:
    if method in _KNOWN_BUT_REFUSED:
        allow = b", ".join(limits.methods)
        return Refusal(405, "method-not-allowed", "This method is never passed on.", allow)
    return Refusal(501, "method-unknown", "This method is not known here.")


def _values(fields: _Fields, name: bytes) -> list[bytes]:
    return [value.strip(b" \t") for each, value in fields if each == name]


def _tokens(fields: _Fields, name: bytes) -> set[bytes]:
    return {token.strip(b" \t") for value in _values(fields, name) for token in value.split(b",")}


def _host_refused(fields: _Fields, *, old: bool) -> Refusal | None:
    hosts = _values(fields, b"host")
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


def _body_length(fields: _Fields, *, old: bool) -> int | Refusal:
    lengths = _values(fields, b"content-length")
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if not lengths and not codings:
        return 0
    if len(lengths) + len(codings) != 1:
        return Refusal(400, "bad-length", "A request has one length: two headers give one each.")
    if lengths:
        if not _LENGTH.fullmatch(lengths[0]):
            return Refusal(400, "bad-length", "Content-Length is one plain number.")
        return int(lengths[0])
    if old:
        return Refusal(400, "bad-length", "HTTP/1.0 has no Transfer-Encoding.")
    # A tab is legal, and where parsers have been made to differ.
    if codings[0].strip(b" ") != b"chunked":
        return Refusal(400, "bad-length", "The only Transfer-Encoding known here is chunked.")
    return -1


def _unusual(head: bytes, fields: _Fields, length: int, *, old: bool, last: bool) -> Head | Refusal:
    """Judge what may be asked besides: another protocol, or a 100 first."""
    expected = _values(fields, b"expect")
    if expected and not old and expected != [b"100-continue"]:
        return Refusal(417, "expectation-failed", "The only Expect known here is 100-continue.")
    if expected and old:
        head = _without(head, b"expect")  # a client of that age would not understand a 100
    upgrades = _values(fields, b"upgrade")
    if upgrades == [b"websocket"] and b"upgrade" in _tokens(fields, b"connection") and not old:
        if length:
            return Refusal(400, "bad-request", "A WebSocket handshake has no body.")
        return Head(head, 0, last=True, upgrade=True)
    # Any other protocol, h2c above all, would take the connection out of our sight, and HTTP/1.0
    # knows no upgrade (RFC 9110 7.8).
    return Head(_without(head, b"upgrade") if upgrades else head, length, last)


def _without(head: bytes, name: bytes) -> bytes:
    lines = head.split(b"\r\n")
    kept = [line for line in lines[1:] if line.partition(b":")[0].lower() != name]
    return b"\r\n".join([lines[0], *kept])


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
