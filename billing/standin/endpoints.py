"""The table of what can be asked for: API endpoints, and pages for people."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

Handler = Callable[..., dict[str, Any]]
PageHandler = Callable[..., Any]

Kind = TypeVar("Kind")

_PARAMETER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One method on one path.

    Attributes:
        params: The SDK's class of its parameters, below `stripe.params`.
        answers: The SDK's class of the object answered, or of a list's items.

    """

    method: str
    path: str
    params: str
    answers: Any
    handler: Handler


@dataclass(frozen=True, slots=True)
class Page:
    """
    A page for people.

    Attributes:
        guarded: Whether only a browser on this machine may ask for it, and only the page itself
            may post its forms; see `access.check_own_page`.

    """

    method: str
    path: str
    handler: PageHandler
    guarded: bool = False


_ENDPOINTS: dict[tuple[str, str], Endpoint] = {}
_PAGES: dict[tuple[str, str], Page] = {}


def endpoint(method: str, path: str, *, params: str, answers: Any) -> Callable[[Handler], Handler]:
    """
    Register a handler `fn(world, given, path) -> object or list`.

    `given` are the checked parameters without `expand`; `path` the path's parameters. The
    frame expands, hides private fields and checks the shape of what is returned.
    """

    def register(function: Handler) -> Handler:
        if (method, path) in _ENDPOINTS:
            raise ValueError(f"two handlers for {method} {path}")
        _ENDPOINTS[method, path] = Endpoint(method, path, params, answers, function)
        return function

    return register


def page(method: str, path: str, *, guarded: bool = False) -> Callable[[PageHandler], PageHandler]:
    """
    Register a page `fn(world, path, query, form) -> starlette.responses.Response`.

    Browsers ask for it, without a key: whatever no secret address protects must be `guarded`.
    `query` and `form` are flat: the last value of a name wins.
    """

    def register(function: PageHandler) -> PageHandler:
        if (method, path) in _PAGES:
            raise ValueError(f"two pages for {method} {path}")
        _PAGES[method, path] = Page(method, path, function, guarded)
        return function

    return register


def endpoints() -> list[Endpoint]:
    """All endpoints, for lists of what is supported."""
    return list(_ENDPOINTS.values())


def find_endpoint(method: str, raw_path: str) -> tuple[Endpoint, dict[str, str]] | None:
    """Find who answers, and the path's parameters; names written out come before parameters."""
    return _find(_ENDPOINTS, method, raw_path)


def find_page(method: str, raw_path: str) -> tuple[Page, dict[str, str]] | None:
    """Find the page under a path."""
    return _find(_PAGES, method, raw_path)


def _find(
    table: Mapping[tuple[str, str], Kind], method: str, raw_path: str
) -> tuple[Kind, dict[str, str]] | None:
    asked = [unquote(segment) for segment in raw_path.rstrip("/").split("/")]
    found: list[tuple[int, Kind, dict[str, str]]] = []
    for (its_method, path), one in table.items():
        if its_method == method:
            parameters = _matched(path.rstrip("/").split("/"), asked)
            if parameters is not None:
                found.append((len(parameters), one, parameters))
    if not found:
        return None
    _, best, parameters = min(found, key=lambda each: each[0])
    return best, parameters


def _matched(segments: list[str], asked: list[str]) -> dict[str, str] | None:
    if len(segments) != len(asked):
        return None
    parameters: dict[str, str] = {}
    for segment, value in zip(segments, asked, strict=True):
        name = _PARAMETER.fullmatch(segment)
        if name is not None:
            parameters[name[1]] = value
        elif segment != value:
            return None
    return parameters
