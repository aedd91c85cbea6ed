r"""
The one spelling of a path: what is matched is priced, and the same bytes are forwarded.

Parsers disagree about `..`, `//`, `%2e` and `\`. Whatever two of them could read
differently is refused here, so that no path is priced as one resource and served as another.
"""

import re

_HEX = frozenset(b"0123456789abcdefABCDEF")
_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_LITERAL = _UNRESERVED | frozenset(b"!$&'()*+,;=:@/")
# Browsers send these unescaped though RFC 3986 does not allow it; escaped they mean the same.
_ESCAPED = {byte: b"%%%02X" % byte for byte in b'"<>[]^`{|}'}

# Most paths are plain: no escapes, no empty segment, none that begins with a dot.
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+/?|/")
_DOTS = re.compile(rb"(?:^|/)\.{1,2}(?=[/;]|$)")


class BadPath(ValueError):
    """The path can be read in two ways, or in none. Nothing was priced or forwarded."""


def canonical_path(raw: bytes) -> bytes:
    """
    Give a path its one spelling, or refuse it; doing it twice changes nothing.

    Escapes of unreserved characters are undone (%61 is a), others are written in upper
    case, and characters that only browsers leave bare are escaped. `%2F` stays as it is:
    whether a route takes it is decided when the route is known.

    Args:
        raw: The path as it was sent, without the query.

    Raises:
        BadPath: Dot segments in any spelling, empty segments, backslashes, control
            characters, broken escapes, or bytes that are not UTF-8.
    """
    if _PLAIN.fullmatch(raw):
        return raw
    if not raw.startswith(b"/"):
        raise BadPath("a path begins with /")
    canonical, decoded = _respelled(raw)
    if b"//" in canonical:
        raise BadPath("the path has an empty segment")
    # An escaped slash or semicolon counts as one here: some backends decode before they split.
    if _DOTS.search(decoded):
        raise BadPath("the path has a dot segment")
    try:
        decoded.decode()
    except UnicodeDecodeError:
        raise BadPath("the path is not UTF-8") from None
    return canonical


def _respelled(raw: bytes) -> tuple[bytes, bytes]:
    """Return the path in its one spelling, and fully decoded."""
    canonical, decoded = bytearray(), bytearray()
    at = 0
    while at < len(raw):
        byte = raw[at]
        at += 1
        if byte == 0x25:
            digits = raw[at : at + 2]
            if len(digits) < 2 or digits[0] not in _HEX or digits[1] not in _HEX:
                raise BadPath("the path has a % that is not followed by two hex digits")
            byte = int(digits, 16)
            at += 2
            if byte < 0x20 or byte in {0x7F, 0x5C}:
                raise BadPath("the path has an escaped control character or backslash")
            canonical += bytes((byte,)) if byte in _UNRESERVED else b"%%%02X" % byte
        elif byte in _LITERAL:
            canonical.append(byte)
        elif byte in _ESCAPED:
            canonical += _ESCAPED[byte]
        else:
            raise BadPath("the path has a character that must be escaped")
        decoded.append(byte)
    return bytes(canonical), bytes(decoded)
