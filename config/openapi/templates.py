"""A path of an OpenAPI document: as the price file writes it, and as a request might spell it."""

import re
from collections.abc import Iterator
from urllib.parse import quote

from config.paths import BadPath, canonical_path

_PLACEHOLDER = re.compile(r"\{[^{}/]*\}")
_WHOLE = re.compile(r"\{([^{}/]*)\}")
_GREEDY = re.compile(r"\{\+[^{}/]+\}|\{[^{}/]+[*+]\}")
_LITERAL = "/%!$&'()*+,;=:@~"
SAMPLE = "fbx~0"
"""Stands for what a caller would put there: no literal of a route is called so."""


class NotARoute(ValueError):
    """No route can have this path; the sentence says why."""


def route_path(template: str) -> str:
    """
    Write a template as a route's path.

    A segment that is a placeholder only in part becomes one as a whole: `{id}.json` is `{id_json}`.
    What may span several segments (`{path+}`) becomes the `*` at the end.

    Raises:
        NotARoute: No request can have such a path, or `*` would be in its middle.
    """
    path, taken = _path_of(template), set[str]()
    segments = list(_segments(path, taken))
    if "*" in segments[:-1]:
        raise NotARoute("only the last part of a route can take several segments")
    if b"%2F" in sample_path(template):
        raise NotARoute("it has an escaped slash, which no route takes by itself")
    return "/" + "/".join(segments)


def sample_path(template: str, *, rest: int = 2) -> bytes:
    """
    Spell a path as a request might, in its one spelling.

    What takes several segments is spelled with so many as `rest`: with more than any route's path
    has, no route for a certain number of them is taken for it.

    Raises:
        NotARoute: No request can have such a path.
    """
    *before, last = _path_of(template).split("/")
    if _is_rest(last):
        last = "/".join([SAMPLE] * rest)
    written = _PLACEHOLDER.sub(SAMPLE, "/".join([*before, last]))
    try:
        return canonical_path(quote(written, safe=_LITERAL).encode())
    except BadPath as error:
        raise NotARoute(str(error)) from None


def _path_of(template: str) -> str:
    """Leave out a query or a fragment, which some documents use to tell operations apart."""
    return re.split(r"[?#]", template, maxsplit=1)[0]


def _segments(path: str, taken: set[str]) -> Iterator[str]:
    *before, last = path[1:].split("/")
    for segment in before:
        yield _segment(segment, taken)
    yield "*" if _is_rest(last) else _segment(last, taken)


def _is_rest(last: str) -> bool:
    return last == "*" or _GREEDY.fullmatch(last) is not None


def _segment(segment: str, taken: set[str]) -> str:
    if _PLACEHOLDER.search(segment):
        whole = _WHOLE.fullmatch(segment)
        return f"{{{_name(whole[1] if whole else segment, taken)}}}"
    if "{" in segment or "}" in segment:
        raise NotARoute("its braces are not in pairs")
    if "*" in segment:
        return f"{{{_name('any', taken)}}}"
    try:
        return canonical_path(f"/{quote(segment, safe=_LITERAL)}".encode()).decode()[1:]
    except BadPath as error:
        raise NotARoute(str(error)) from None


def _name(written: str, taken: set[str]) -> str:
    """Make a name of letters, digits and _, that no other part of the path has."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", written).strip("_")[:60] or "part"
    name = f"p_{name}" if name[0].isdigit() else name
    numbered, count = name, 1
    while numbered in taken:
        count += 1
        numbered = f"{name}_{count}"
    taken.add(numbered)
    return numbered
