"""Reading one value from a query string, where parsers must not disagree about it."""

from config.pricing.facts import Unpriceable

_HEX = frozenset(b"0123456789abcdefABCDEF")


def query_value(query: bytes, name: str) -> str | None:
    """
    Give the value of one query parameter, or None where it is absent.

    Raises:
        Unpriceable: 400 where a backend might read another value than we do: the name twice,
            `name[]`, another case, a NUL behind it, `;` as separator, or a broken escape.
    """
    found: str | None = None
    plain = _plain(name)
    for piece in query.split(b"&"):
        first, *others = piece.split(b";")
        raw_name, _, _ = first.partition(b"=")
        decoded = _decode(raw_name)
        if decoded == name:
            # `n;x=1` is a parameter `n` to some, and one named `n;x` to others.
            if found is not None or (others and b"=" not in first):
                raise _ambiguous(name)
            found = _decode(piece.partition(b"=")[2])
        elif _plain(decoded) == plain:
            raise _ambiguous(name)
        # Some backends also split at semicolons.
        if any(_plain(_decode(other.partition(b"=")[0])) == plain for other in others):
            raise _ambiguous(name)
    return found


def _ambiguous(name: str) -> Unpriceable:
    sentence = f"The query must name `{name}` once and in this spelling: the price depends on it."
    return Unpriceable(400, "ambiguous-query", sentence)


def _plain(name: str) -> str:
    """Give what is left of a name after the liberties that frameworks take with it."""
    # PHP: brackets make arrays, dots and spaces become underscores. C: a NUL ends it.
    name = name.split("\0", 1)[0].strip().lstrip("?").split("[", 1)[0]
    return name.strip().replace(".", "_").replace(" ", "_").casefold()


def _decode(raw: bytes) -> str:
    raw = raw.replace(b"+", b" ")
    if b"%" not in raw:
        decoded = raw
    else:
        first, *others = raw.split(b"%")
        parts = [first]
        for part in others:
            if len(part) < 2 or part[0] not in _HEX or part[1] not in _HEX:
                raise Unpriceable(400, "invalid-query", "The query has a broken % escape.")
            parts.append(bytes((int(part[:2], 16),)) + part[2:])
        decoded = b"".join(parts)
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        raise Unpriceable(400, "invalid-query", "The query is not UTF-8.") from None
