"""What both ends must have said before a connection is theirs (RFC 6455 section 4). No I/O."""

import base64
from hashlib import sha1

from gateway.headers import Headers
from gateway.upstream import UpstreamInvalid

_MARK = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_DEFLATE = b"permessage-deflate"
_EXTENSIONS = b"sec-websocket-extensions"


def offered_extensions(headers: Headers) -> Headers:
    """
    Return the request's headers with the one extension whose frames we can follow.

    permessage-deflate leaves frames and messages what they are. Of any other one we do not know
    what is a message, so it is not offered to the backend.
    """
    kept: Headers = []
    for name, value in headers:
        if name == _EXTENSIONS:
            offers = [one.strip(b" \t") for one in value.split(b",")]
            value = b", ".join(one for one in offers if _name(one) == _DEFLATE)  # noqa: PLW2901
            if not value:
                continue
        kept.append((name, value))
    return kept


def agreed(request: Headers, response: Headers) -> bool:
    """
    Check the upstream's side of the handshake; return whether messages may be compressed.

    Raises:
        UpstreamInvalid: No client could use the connection, so none is told that it has one.
    """
    keys = [value for name, value in request if name == b"sec-websocket-key"]
    accepted = [value for name, value in response if name == b"sec-websocket-accept"]
    if len(keys) != 1 or accepted != [_accept(keys[0].strip(b" \t"))]:
        raise UpstreamInvalid("101 without the Sec-WebSocket-Accept that belongs to the key")
    if [value.lower() for name, value in response if name == b"upgrade"] != [b"websocket"]:
        raise UpstreamInvalid("101 to another protocol than WebSocket")
    chosen = [
        _name(one) for name, value in response if name == _EXTENSIONS for one in value.split(b",")
    ]
    if any(one != _DEFLATE for one in chosen):
        raise UpstreamInvalid("101 with an extension that was not offered")
    return bool(chosen)


def switching(headers: Headers) -> bytes:
    """Write the head that tells the client that the connection is a WebSocket now."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join(
        (
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n",
            *lines,
            b"\r\n",
        )
    )


def _accept(key: bytes) -> bytes:
    return base64.b64encode(sha1(key + _MARK, usedforsecurity=False).digest())


def _name(offer: bytes) -> bytes:
    return offer.partition(b";")[0].strip(b" \t").lower()
