"""
Which headers go up to the backend and which come down to the client.

Names arrive in lower case (the server sees to that). Where a name is compared, `_` counts as
`-`, because WSGI and CGI backends cannot tell them apart: `Farebox_Account` sent by a
client would otherwise reach them as ours.
"""

from collections.abc import Callable, Iterable

Headers = list[tuple[bytes, bytes]]

# RFC 9110 7.6.1, and the two fields that speak to a proxy. The ones named in Connection join them.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# With these a client would choose another method or path than the one that was priced.
OVERRIDES = frozenset(
    {
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-method",
        b"x-original-uri",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-forwarded-method",
        b"x-forwarded-path",
        b"x-forwarded-prefix",
        b"x-forwarded-uri",
    }
)
FORWARDED = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-protocol",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-real-ip",
    }
)
# Ours to set (host) or already answered by us (expect: the body is asked for when the hold stands).
_NEVER_UP = HOP_BY_HOP | OVERRIDES | {b"host", b"expect", b"http2-settings", b"content-length"}
_OURS = b"farebox"
_OUR_COOKIE = b"farebox_"
_KEY_MARK = b"fbx_"
_KEY_HEADERS = frozenset({b"authorization", b"x-api-key"})

_NONE: frozenset[bytes] = frozenset()
EXPOSED = (
    b"Farebox-Request-Id, Farebox-Cost, Farebox-Balance, Retry-After, RateLimit, RateLimit-Policy"
)

# A Connection header may not talk us out of these: they are needed to understand the message.
_NEVER_NAMED = frozenset({b"host", b"content-length", b"content-type", b"cookie", b"set-cookie"})


def key_secrets(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Return every Farebox key the request carries in a header; two are the caller's mistake."""
    found = []
    for name, value in headers:
        if name in _KEY_HEADERS and (secret := _key_in(name, value)):
            found.append(secret)
    return found


def _key_in(name: bytes, value: bytes) -> bytes | None:
    """Return the Farebox key in the value of that header; others' credentials are not ours."""
    if name == b"x-api-key":
        secret = value.rstrip(b" \t")  # white space around a value is none of it (RFC 9110 5.5)
        return secret if secret[:4] == _KEY_MARK else None
    scheme, _, credentials = value.partition(b" ")
    credentials = credentials.strip(b" \t")
    if credentials[:4] == _KEY_MARK and scheme.lower() == b"bearer":
        return credentials
    return None


def value_of(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """Return the first value under that name, or None."""
    for name, value in headers:
        if name == wanted:
            return value
    return None


def upward(headers: Headers, *, trusted: bool, replaced: frozenset[bytes]) -> Headers:
    """
    Return the client's headers that the backend may see, in their order.

    Dropped: hop-by-hop fields, Farebox keys, what a client says under our names, method and path
    overrides, cookies of ours, and X-Forwarded-* unless the peer is a trusted proxy.
    Host and Content-Length are left to who frames the message, and so are the names in `replaced`.
    """
    kept: Headers = []
    named = replaced
    for header in headers:
        name, value = header
        fate = _UPWARD[name]
        if fate == _PASSES:
            kept.append(header)
        elif fate == _DEPENDS:
            left = _depending(_plain(name), value, trusted=trusted)
            if left is not None:
                kept.append((name, left))
        elif fate == _NAMES_OTHERS and value not in _USUAL_CONNECTIONS:
            named |= _named_in_connection(value)
    if named:
        return [header for header in kept if _plain(header[0]) not in named]
    return kept


_PASSES, _DROPPED, _DEPENDS, _NAMES_OTHERS = range(4)
"""What becomes of a header, as far as its name decides."""

_USUAL_CONNECTIONS = frozenset({b"keep-alive", b"close"})
_MOST_NAMES = 4096


class _Fates(dict[bytes, int]):
    """
    Fates by name, worked out once.

    Messages use the same few dozen names again and again; the limit is for those who do not.
    """

    def __init__(self, decide: Callable[[bytes], int]) -> None:
        super().__init__()
        self._decide = decide

    def __missing__(self, name: bytes) -> int:
        if len(self) >= _MOST_NAMES:
            self.clear()
        fate = self[name] = self._decide(_plain(name))
        return fate


def _fate_upward(plain: bytes) -> int:
    if plain == b"connection":
        return _NAMES_OTHERS
    if plain in _NEVER_UP or plain.startswith(_OURS):
        return _DROPPED
    if plain in FORWARDED or plain in _KEY_HEADERS or plain == b"cookie":
        return _DEPENDS
    return _PASSES


def _depending(plain: bytes, value: bytes, *, trusted: bool) -> bytes | None:
    """Return what is left of a value that must be looked at; None drops the header."""
    if plain in FORWARDED:
        # A trusted chain is continued by `forwarded`.
        return value if trusted and plain != b"x-forwarded-for" else None
    if plain == b"cookie":
        return (_without_our_cookies(value) or None) if _OUR_COOKIE in value.lower() else value
    return None if _KEY_MARK in value and _carries_key(plain, value) else value


def _plain(name: bytes) -> bytes:
    return name.replace(b"_", b"-")


def _carries_key(plain: bytes, value: bytes) -> bool:
    """Tell whether a credential is ours, also where its scheme or spelling made it unusable."""
    return value.strip().rpartition(b" ")[2][:4] == _KEY_MARK or bool(_key_in(plain, value))


def _without_our_cookies(value: bytes) -> bytes:
    cookies = [pair.strip() for pair in value.split(b";")]
    return b"; ".join(pair for pair in cookies if not pair.lower().startswith(_OUR_COOKIE))


def forwarded(headers: Headers, *, peer: str, scheme: bytes, host: bytes, trusted: bool) -> Headers:
    """
    Return our X-Forwarded-* for a request from `peer`.

    A trusted proxy's chain is continued and its proto and host stand: it saw the client.
    """
    address = peer.encode()
    if not trusted:
        return [
            (b"x-forwarded-for", address),
            (b"x-forwarded-proto", scheme),
            (b"x-forwarded-host", host),
        ]
    chain = [value for name, value in headers if name == b"x-forwarded-for"]
    ours = [(b"x-forwarded-for", b", ".join([*chain, address]))]
    if value_of(headers, b"x-forwarded-proto") is None:
        ours.append((b"x-forwarded-proto", scheme))
    if value_of(headers, b"x-forwarded-host") is None:
        ours.append((b"x-forwarded-host", host))
    return ours


def client_address(headers: Headers, *, peer: str, trusts: Callable[[str], bool]) -> str:
    """Return who is calling: the peer, or the nearest address that is no trusted proxy's."""
    if not trusts(peer):
        return peer
    chain = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    for hop in reversed(chain.decode("latin-1").split(",")):
        address = hop.strip()
        if address and not trusts(address):
            return address
    return peer


def downward(headers: Headers, *, status: int, head: bool) -> Headers:
    """
    Return the backend's headers that the client may see, in their order.

    Dropped: hop-by-hop fields, what the backend says under our names, cookies of ours, and the
    Content-Length of an answer that has no body (204, 304; HEAD keeps it: it describes GET's).
    """
    kept: Headers = []
    named = _NONE
    for header in headers:
        name, value = header
        fate = _DOWNWARD[name]
        if fate == _PASSES:
            kept.append(header)
        elif fate == _DEPENDS:
            if name == b"content-length":
                if head or status not in (204, 304):
                    kept.append(header)
            elif value.lstrip(b" \t")[:8].lower() != _OUR_COOKIE:
                kept.append(header)
        elif fate == _NAMES_OTHERS and value not in _USUAL_CONNECTIONS:
            named |= _named_in_connection(value)
    if named:
        return [header for header in kept if _plain(header[0]) not in named]
    return kept


def _fate_downward(plain: bytes) -> int:
    if plain == b"connection":
        return _NAMES_OTHERS
    if plain in HOP_BY_HOP or plain.startswith(_OURS):
        return _DROPPED
    return _DEPENDS if plain in (b"set-cookie", b"content-length") else _PASSES


_UPWARD = _Fates(_fate_upward)
_DOWNWARD = _Fates(_fate_downward)


def _named_in_connection(value: bytes) -> frozenset[bytes]:
    """Return the fields that a Connection header makes hop-by-hop; most name none."""
    tokens = _plain(value.lower()).split(b",")
    return frozenset(token.strip(b" \t") for token in tokens) - _NEVER_NAMED


def cors(origin: bytes) -> Headers:
    """Return what lets a page of that origin read one of our own errors."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    ]
