"""
Which operations a document names: OpenAPI 3.0, 3.1 and 3.2, and Swagger 2.0.

Only what a price file can use is read: method, path below its server, a name, and hints of what a
price may hang on. Parameters and schemas may be as wrong as they like.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from config.openapi.document import Document, Path
from config.reading.shape import METHODS

MOST_HOPS = 20
"""References that lead to references; more is a circle, or as good as one."""

_VERBS = {method.lower(): method for method in METHODS}
_NOT_SERVED = frozenset({"trace", "query"})
_WEBSOCKET_HINTS = ("x-websocket", "x-websockets", "x-is-websocket")


@dataclass(frozen=True, slots=True)
class Server:
    """Where operations are: an origin like https://api.example.com, and a path below it."""

    origin: str
    """Empty where the document has a path only."""
    base: str
    """Begins with a slash, or is empty; none at its end."""
    websocket: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    """With the server's path before it, `{name}` as in the document: what the backend is asked."""
    server: Server
    name: str
    """Its operationId; empty without one."""
    summary: str
    deprecated: bool
    websocket: bool
    """Something says so: a status 101, a ws:// server, `x-websocket: true`."""
    streams: bool
    """It answers with server-sent events."""
    security: tuple[str, ...] | None
    """The schemes that the backend asks for; none of them asked: (); None: it does not say."""
    line: int


@dataclass(frozen=True, slots=True)
class Api:
    """A document, as far as prices are concerned."""

    title: str
    version: str
    format: str
    """Like `OpenAPI 3.1.0`."""
    server: Server
    """The first one, where most operations are."""
    operations: tuple[Operation, ...]
    schemes: Mapping[str, str]
    """How the backend knows its callers, in words, by the name of the scheme."""
    skipped: tuple[str, ...]
    """What no route can serve, one sentence each."""


def read_api(document: Document, *, base_path: str | None = None) -> Api:
    """
    Read a document's operations, in its order.

    Args:
        document: As `read_document` gives it.
        base_path: Counts instead of the path of every server.

    Raises:
        OpenApiError: It is no OpenAPI document, or it is wrong where operations are.
    """
    return _Reader(document, base_path).read()


class _Reader:
    def __init__(self, document: Document, base_path: str | None) -> None:
        self._document = document
        self._root = document.root
        self._base_path = None if base_path is None else base_path.rstrip("/")
        self._skipped: list[str] = []
        self._format = self._known_format()
        self._old = self._format.startswith("Swagger")

    def read(self) -> Api:
        info = self._root.get("info")
        info = info if isinstance(info, dict) else {}
        server = self._server_of_all()
        operations = tuple(self._operations(server))
        if not operations and not self._skipped:
            raise self._document.wrong(("paths",), "The document names no operation.")
        return Api(
            title=_line(info.get("title")),
            version=_line(info.get("version")),
            format=self._format,
            server=server,
            operations=operations,
            schemes=self._schemes(),
            skipped=tuple(self._skipped),
        )

    def _known_format(self) -> str:
        new, old = self._root.get("openapi"), self._root.get("swagger")
        if isinstance(new, str) and new.split(".")[0] == "3":
            return f"OpenAPI {new}"
        if isinstance(old, str) and old in {"2", "2.0"}:
            return f"Swagger {old}"
        key = "openapi" if new is not None else "swagger" if old is not None else ""
        hint = "OpenAPI 3.x and Swagger 2.0 are read."
        if key:
            message = f"This is version {_line(self._root[key])} of {key}."
            raise self._document.wrong((key,), message, hint)
        raise self._document.wrong((), "This is no OpenAPI document: it names no version.", hint)

    def _operations(self, usual: Server) -> Iterator[Operation]:
        paths = self._root.get("paths")
        if paths is None and "webhooks" in self._root:
            paths = {}  # 3.1 allows it: what a backend sends is no route
        if not isinstance(paths, dict):
            path: Path = ("paths",) if "paths" in self._root else ()
            raise self._document.wrong(path, "`paths` must be a mapping of paths to operations.")
        for template, written in paths.items():
            if template.startswith("x-"):
                continue
            place: Path = ("paths", template)
            if not template.startswith("/"):
                raise self._document.wrong(
                    place, f"The path `{_line(template)}` has no / before it."
                )
            yield from self._item(template, self._resolved(written, place), place, usual)

    def _item(
        self, template: str, item: dict[str, Any], place: Path, usual: Server
    ) -> Iterator[Operation]:
        server = self._server(item, place, usual)
        for key, written in item.items():
            if key in _NOT_SERVED:
                self._skipped.append(f"{key.upper()} {template}: this method is not served.")
            if key == "additionalOperations" and isinstance(written, dict):
                names = ", ".join(map(_line, written))
                self._skipped.append(f"{template}: the methods {names} are not served.")
            if key not in _VERBS:
                continue
            at = (*place, key)
            if not isinstance(written, dict):
                raise self._document.wrong(at, "An operation is a mapping.")
            yield self._operation(template, _VERBS[key], written, at, server)

    def _operation(
        self, template: str, method: str, written: dict[str, Any], at: Path, server: Server
    ) -> Operation:
        server = self._server(written, at, server)
        statuses, types = self._answers(written)
        schemes = written.get("schemes")
        hinted = any(written.get(hint) is True for hint in _WEBSOCKET_HINTS) or (
            isinstance(schemes, list) and not {"ws", "wss"}.isdisjoint(map(str, schemes))
        )
        upgrades = server.websocket or "101" in statuses or hinted
        return Operation(
            method=method,
            path=server.base + template,
            server=server,
            name=_line(written.get("operationId")),
            summary=_line(written.get("summary") or written.get("description")),
            deprecated=written.get("deprecated") is True,
            websocket=method == "GET" and upgrades,
            streams="text/event-stream" in types,
            security=self._security(written),
            line=self._document.place(at)[0],
        )

    def _answers(self, operation: dict[str, Any]) -> tuple[set[str], set[str]]:
        """Give the statuses of its answers and their media types; these are hints, and may lack."""
        responses = operation.get("responses")
        responses = responses if isinstance(responses, dict) else {}
        types: set[str] = set()
        for response in responses.values():
            found = self._followed(response)
            content = found.get("content") if isinstance(found, dict) else None
            types |= {_type(name) for name in content} if isinstance(content, dict) else set()
        if self._old:
            produced = operation.get("produces", self._root.get("produces"))
            types |= {_type(name) for name in produced} if isinstance(produced, list) else set()
        return set(responses), types

    def _security(self, operation: dict[str, Any]) -> tuple[str, ...] | None:
        asked = operation.get("security", self._root.get("security"))
        if not isinstance(asked, list):
            return None
        if not asked or any(isinstance(one, dict) and not one for one in asked):
            return ()
        return tuple(dict.fromkeys(name for one in asked if isinstance(one, dict) for name in one))

    def _schemes(self) -> dict[str, str]:
        if self._old:
            defined = self._root.get("securityDefinitions")
        else:
            components = self._root.get("components")
            defined = components.get("securitySchemes") if isinstance(components, dict) else None
        if not isinstance(defined, dict):
            return {}
        return {name: _scheme(self._followed(scheme)) for name, scheme in defined.items()}

    def _server_of_all(self) -> Server:
        if not self._old:
            return self._server(self._root, (), Server("", self._base_path or ""))
        host, base = self._root.get("host"), self._root.get("basePath")
        schemes = self._root.get("schemes")
        named = (
            [one for one in schemes if isinstance(one, str)] if isinstance(schemes, list) else []
        )
        scheme = "https" if not named or "https" in named else named[0]
        url = f"{scheme}://{host}" if isinstance(host, str) and host else ""
        return self._server_at(url + (base if isinstance(base, str) else ""), ("host",))

    def _server(self, holder: dict[str, Any], at: Path, usual: Server) -> Server:
        """Give the first server that something names for itself, else the usual one."""
        servers = holder.get("servers")
        if self._old or not isinstance(servers, list) or not servers:
            return usual
        first = servers[0]
        where = (*at, "servers")
        if not isinstance(first, dict) or not isinstance(first.get("url"), str):
            raise self._document.wrong(where, "A server has a `url`.")
        variables = first.get("variables")
        url: str = first["url"]
        for name, variable in (variables if isinstance(variables, dict) else {}).items():
            usually = variable.get("default") if isinstance(variable, dict) else None
            if isinstance(usually, str):
                url = url.replace(f"{{{name}}}", usually)
        if "{" in url:
            message = f"The server {_line(url)} has a variable without a default."
            raise self._document.wrong(where, message, "Give it one, or give --base-path.")
        return self._server_at(url, where)

    def _server_at(self, url: str, at: Path) -> Server:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise self._document.wrong(at, f"{_line(url)} is no address.") from None
        base = "/" + parts.path.strip("/") if parts.path.strip("/.") else ""
        if self._base_path is not None:
            base = self._base_path
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        if scheme not in {"http", "https"} or not host:
            return Server("", base)
        host = f"[{host}]" if ":" in host else host
        origin = f"{scheme}://{host}" + (f":{port}" if port is not None else "")
        return Server(origin, base, websocket=scheme != parts.scheme)

    def _resolved(self, written: Any, at: Path) -> dict[str, Any]:
        """Follow a path item's reference; what stands beside it counts before what it names."""
        beside: dict[str, Any] = {}
        for _ in range(MOST_HOPS):
            if not isinstance(written, dict):
                raise self._document.wrong(at, "A path has a mapping of methods to operations.")
            if "$ref" not in written:
                return {**written, **beside}
            beside = {**{key: value for key, value in written.items() if key != "$ref"}, **beside}
            written = self._referred(written["$ref"], at)
        raise self._document.wrong(at, "The references here lead round in a circle.")

    def _referred(self, reference: Any, at: Path) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            message = f"`{_line(reference)}` refers to another file, which is not read."
            raise self._document.wrong(at, message, "Put the document into one file first.")
        try:
            return self._found(reference)
        except KeyError:
            message = f"`{_line(reference)}` refers to nothing in this document."
            raise self._document.wrong(at, message) from None

    def _followed(self, written: Any) -> Any:
        """Follow references of what is only a hint; one that leads nowhere is no hint."""
        for _ in range(MOST_HOPS):
            if not isinstance(written, dict) or not isinstance(written.get("$ref"), str):
                return written
            try:
                written = self._found(written["$ref"])
            except KeyError:
                break
        return None

    def _found(self, reference: str) -> Any:
        """
        Look up a JSON pointer of this document.

        Raises:
            KeyError: It leads nowhere, or into another document.
        """
        if not reference.startswith("#"):
            raise KeyError(reference)
        value: Any = self._root
        for step in unquote(reference[1:]).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list):
                value = dict(zip(map(str, range(len(value))), value, strict=True))
            if not isinstance(value, dict):
                raise KeyError(reference)
            value = value[key]
        return value


def _scheme(scheme: Any) -> str:
    """Say in a few words where the backend looks for its caller."""
    if not isinstance(scheme, dict):
        return "a scheme that is not described"
    match scheme.get("type"):
        case "apiKey":
            return f"a key in the {_line(scheme.get('in'))} {_line(scheme.get('name'))}"
        case "http":
            return f"Authorization: {_line(scheme.get('scheme')).capitalize()}"
        case "basic":
            return "Authorization: Basic"
        case "oauth2" | "openIdConnect":
            return "Authorization: Bearer (OAuth)"
        case other:
            return _line(other) or "a scheme that is not described"


def _type(name: Any) -> str:
    return str(name).partition(";")[0].strip().lower()


def _line(value: Any) -> str:
    """Make one printable line of whatever stands there; at most 200 characters."""
    if not isinstance(value, str):
        return ""
    words = "".join(c if c.isprintable() else " " for c in value[:1000]).split()
    return " ".join(words)[:200].strip()
