"""The first price file of an API that has an OpenAPI document: every operation, none priced."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from config.openapi.document import Document
from config.openapi.operations import Api, Operation
from config.openapi.templates import NotARoute, route_path
from config.problems import OpenApiError, PriceFileError, Problem
from config.reading import load_price_list
from config.reading.shape import MOST_ROUTES, UNPRICED
from config.routing import shape

LONGEST_COMMENT = 100

_HEAD = """\
# Farebox price file, begun from {what}.
# Check it with `farebox check {name}`; every key: docs/price-file.md.
#
# Nothing is charged or refused yet: `observe: true` forwards all requests and records them.
#   1. Put Farebox in front: `farebox serve --config {name}`, and let callers come through it.
#   2. Write a price for each route in place of `unpriced` (`price: 0` where it is free).
#      `farebox check {name} --openapi {document}` says what is missing.
#   3. Watch what would be charged and who would be refused: `farebox observed --since 24h`.
#   4. Take out `observe: true`, here or with `observe: false` route by route.
{notes}
version: 1

observe: true
{prefix}
upstreams:
{upstreams}
routes:
  # The most specific path wins. What matches no route is a 404.
{routes}"""


@dataclass(frozen=True, slots=True)
class Imported:
    """A price file's text, and what it came to."""

    text: str
    routes: int
    upstreams: Mapping[str, str]
    """Addresses by name."""
    skipped: tuple[str, ...]
    """Operations that no route serves, a sentence each."""


@dataclass(slots=True)
class _Line:
    """A route, and the operations that came to be it."""

    path: str
    first: Operation
    upstream: str
    others: list[Operation]


def price_file_of(
    document: Document, api: Api, *, upstream: str | None, name: str, source: str
) -> Imported:
    """
    Write a price file with one unpriced route for each operation.

    Args:
        document: What `api` was read from; it knows the places.
        api: Its operations.
        upstream: Where the backend is, in place of the document's first server. A path in it
            goes before each request's, so the routes then come without the server's own.
        name: What the file will be called.
        source: What the document is called, for the comments.

    Raises:
        OpenApiError: No server is named, there are too many operations, or no route came of any.
    """
    origin = api.server.origin if upstream is None else upstream.rstrip("/")
    if not origin:
        hint = "Say where the backend is: --upstream http://127.0.0.1:9000"
        raise document.wrong(("servers",), "The document names no server with an address.", hint)
    cut = api.server.base if urlsplit(origin).path.strip("/") else ""
    lines, skipped, upstreams = _lines(api, origin, cut)
    if not lines:
        raise document.wrong(("paths",), "No route came of any operation.", " ".join(skipped[:1]))
    if len(lines) > MOST_ROUTES:
        sentence = (
            f"The document has {len(lines)} operations; a price file has {MOST_ROUTES} routes"
        )
        raise document.wrong(("paths",), f"{sentence} at most.")
    routes = "".join(_written(line, api) for line in lines)
    text = _HEAD.format(
        what=_what(api, len(lines)),
        name=name,
        document=_comment(source),
        notes=_notes(api, skipped),
        prefix=_prefix([line.path for line in lines]),
        upstreams="".join(f"  {key}:\n    url: {_quoted(url)}\n" for key, url in upstreams.items()),
        routes=routes,
    )
    try:
        load_price_list(text, environ={})
    except PriceFileError as error:
        line = text.splitlines()[error.problems[0].line - 1].strip()
        first = error.problems[0]
        sentence = f"A price file cannot say what came of it: {first.message} ({line[:200]})"
        raise OpenApiError(Problem(1, 1, sentence, first.hint)) from error
    return Imported(text, len(lines), upstreams, tuple(skipped))


def _lines(api: Api, origin: str, cut: str) -> tuple[list[_Line], list[str], dict[str, str]]:
    """Give the routes in the document's order, each path and method once."""
    skipped = list(api.skipped)
    upstreams = {"api": origin}
    known: dict[tuple[str, str], _Line] = {}
    for operation in api.operations:
        main = operation.server.origin == api.server.origin
        upstream = "api" if main else _upstream(operation.server.origin, upstreams)
        path = operation.path
        if main and cut and path.startswith(cut):
            path = path[len(cut) :]
        try:
            route = route_path(path)
        except NotARoute as error:
            skipped.append(f"{operation.method} {_comment(path)}: {error}.")
            continue
        line = known.setdefault(
            (shape(route), operation.method), _Line(route, operation, upstream, [])
        )
        if line.first is not operation:
            line.others.append(operation)
    return list(known.values()), skipped, upstreams


def _upstream(origin: str, upstreams: dict[str, str]) -> str:
    """Name another origin by its host; one without an address is the usual one's."""
    if not origin:
        return "api"
    for name, url in upstreams.items():
        if url == origin and name != "api":
            return name
    host = re.sub(r"[^a-z0-9]+", "-", (urlsplit(origin).hostname or "").lower()).strip("-")
    name = host[:50] if host[:1].isalpha() else f"u-{host[:50]}"
    numbered, count = name, 1
    while numbered in upstreams:
        count += 1
        numbered = f"{name}-{count}"
    upstreams[numbered] = origin
    return numbered


def _written(line: _Line, api: Api) -> str:
    first = line.first
    remarks = [first.summary[:LONGEST_COMMENT], *_hints(line, api)]
    comment = "; ".join(remark for remark in remarks if remark)
    said = f"  # {_comment(comment, 3 * LONGEST_COMMENT)}\n" if comment else ""
    name = (first.name or f"{first.method} {line.path}").replace("${", "$")
    entry = [
        f"path: {_quoted(line.path)}",
        "websocket: true" if first.websocket else f"methods: [{first.method}]",
        f"upstream: {line.upstream}",
        f"price: {UNPRICED}",
        f"name: {_quoted(name[:200])}",
    ]
    return f"{said}  - {{ {', '.join(entry)} }}\n"


def _hints(line: _Line, api: Api) -> list[str]:
    first = line.first
    hints = []
    if first.deprecated:
        hints.append("DEPRECATED")
    if first.streams:
        hints.append("streams events: the last one may tell the cost (`hold`, `settle`)")
    # Where nothing asks for a key the document just does not say: many leave that to a proxy.
    if first.security == () and any(operation.security for operation in api.operations):
        hints.append("the backend asks no key here: perhaps `public: true, price: 0`")
    if line.others:
        names = ", ".join(other.name or other.path for other in line.others[:5])
        hints.append(f"also {names}: one path and method, so one route")
    return hints


def _what(api: Api, count: int) -> str:
    title = " ".join(part for part in (api.title or "a document", api.version) if part)
    return _comment(f"{title} ({api.format}): {count} operation{'' if count == 1 else 's'}", 150)


def _notes(api: Api, skipped: list[str]) -> str:
    """Say at the top what the operator has to think of; empty where there is nothing."""
    notes = []
    asked = {name for operation in api.operations for name in operation.security or ()}
    if asked:
        ways = sorted({api.schemes.get(name, _comment(name)) for name in asked})
        notes.append(f"The backend asks its callers for: {_comment('; '.join(ways), 300)}.")
        notes.append(
            "Send that for all of them (`headers` of the upstream), or let callers send it"
        )
        notes.append("beside their Farebox key, which then goes into X-Api-Key or Authorization,")
        notes.append("whichever the backend leaves free.")
    if skipped:
        notes.append(f"No route came of {len(skipped)}:")
        notes += [f"  {_comment(sentence, 150)}" for sentence in skipped[:20]]
        notes += ["  ..."] if len(skipped) > 20 else []
    return "".join(f"# {note}\n" for note in ["", *notes]).replace("# \n", "#\n") if notes else ""


def _prefix(paths: list[str]) -> str:
    """Move our own routes away where the API has /farebox itself."""
    taken = {path.split("/")[1] for path in paths}
    name = "farebox"
    while name in taken:
        name += "-gateway"
    if name == "farebox":
        return ""
    why = "# The API has /farebox itself, so Farebox's own routes are elsewhere."
    return f"\n{why}\nprefix: /{name}\n"


def _quoted(text: str) -> str:
    # A JSON string of printable characters is a YAML string.
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str, most: int = LONGEST_COMMENT) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:most].strip()
