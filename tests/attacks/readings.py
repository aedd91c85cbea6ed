"""
What a backend may make of a request, written without the gateway's code: the oracle of the fuzzer.

Frameworks differ in what they tidy up before they look for a route. If any of them could read
a request as that of another route than was charged, the request should have been refused.
"""

import json
import posixpath
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote_to_bytes

from tests.attacks.echo import Seen

EXACT = {
    b"/cheap": "cheap",
    b"/costly": "costly",
    b"/files/secret": "secret",
    b"/models": "models",
    b"/pages": "pages",
    b"/search": "search",
    b"/upload": "upload",
    b"/chat": "chat",
    b"/hang": "hang",
    b"/free": "free",
}
FLAT = {
    "cheap": 1,
    "costly": 50,
    "items": 3,
    "files": 5,
    "secret": 40,
    "blobs": 4,
    "post": 2,
    "delete": 20,
    "hang": 2,
    "free": 0,
}


def route_of(method: str, path: bytes) -> str | None:
    """The price file's routes once more, as simply as can be."""
    if path == b"/deleted":
        return {"POST": "post", "DELETE": "delete"}.get(method)
    if path in EXACT:
        return EXACT[path]
    if re.fullmatch(rb"/items/[^/]+", path):
        return "items"
    if re.fullmatch(rb"/blobs/.+", path):
        return "blobs"
    return "files" if re.fullmatch(rb"/files/.+", path, re.DOTALL) else None


def readings(path: bytes) -> Iterator[bytes]:
    """The path as it is, and as servers tidy it up: decoded, resolved, cut, in one case."""
    decoded = unquote_to_bytes(path)
    yield path
    yield decoded
    yield decoded.split(b"\0")[0]
    for each in (path, decoded, decoded.replace(b"\\", b"/")):
        merged = re.sub(rb"/+", b"/", each)
        cut = re.sub(rb";[^/]*", b"", merged)
        for tidy in (merged, cut):
            resolved = posixpath.normpath(tidy)
            yield resolved
            yield resolved.lower()
            yield resolved.rstrip(b". ") or b"/"


def routes_read(seen: Seen) -> set[str]:
    """Every route that some backend could take the request for."""
    path = seen.target.partition("?")[0].encode("latin-1")
    found = {route_of(seen.method, reading) for reading in readings(path)}
    return {route for route in found if route is not None}


def costs_read(route: str, seen: Seen) -> set[int]:
    """Every cost that follows from some way to read the query, header or body."""
    if route in FLAT:
        return {FLAT[route]}
    if route == "chat":  # the echo always tells as much usage; an answer without body none
        return {30 if seen.method == "HEAD" else 7}
    if route == "upload":
        return {min(len(seen.body), 500)}
    if route == "search":
        pairs: list[list[tuple[str, object]]] = []
        json.loads(seen.body, object_pairs_hook=lambda found: pairs.append(found) or found)
        return {1 + int(str(value)) for name, value in pairs[-1] if name.lower() == "limit"}
    if route == "pages":
        named = [v for n, v in seen.headers if n.replace("_", "-") == "x-pages"]
        return {int(value) for value in named}
    query = seen.target.partition("?")[2]
    found = [
        value
        for separators in (query, query.replace(";", "&"))
        for name, value in parse_qsl(separators, keep_blank_values=True)
        if re.split(r"[\[\0]", name.strip().casefold())[0] == "n"
    ]
    return {int(value) for value in found}
