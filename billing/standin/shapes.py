"""Checking what the stand-in says against the SDK's classes: a wrong shape is a bug of ours."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, get_args, get_origin

import stripe
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._stripe_object import UntypedStripeObject

from billing.standin.failures import ShapeError
from billing.standin.sdk_types import Choice, choice, fields

DELETED = {"id", "object", "deleted"}  # all that is left of a deleted object


def check(thing: Mapping[str, Any]) -> None:
    """
    Raise ShapeError where an object or a list of objects is not what the SDK expects.

    Checked are names, kinds, required fields and the words of enumerations, at every level.
    """
    kind = thing.get("object")
    if kind == "list":
        if not isinstance(thing.get("has_more"), bool) or not isinstance(thing.get("url"), str):
            raise ShapeError("a list needs has_more and url")
        for item in thing["data"]:
            check(item)
    elif kind not in OBJECT_CLASSES:
        raise ShapeError(f"there is no object named {kind!r}")
    elif thing.get("deleted") is True and set(thing) == DELETED:
        return
    else:
        _fields(get_object_class("V1", kind), thing, kind)
        if kind == "event":
            check(thing["data"]["object"])


def _fields(cls: type, thing: Mapping[str, Any], path: str) -> None:
    known, required = _known(cls)
    for name, value in thing.items():
        if name not in known:
            raise ShapeError(f"{path}.{name} does not exist in the pinned version")
        _value(known[name], value, f"{path}.{name}")
    if not thing.keys() >= required:
        raise ShapeError(f"{path}.{min(required - thing.keys())} is missing")


@cache
def _known(cls: type) -> tuple[dict[str, Choice], frozenset[str]]:
    """Return the fields of a class, and which of them it must have; asked for every object."""
    known = {name: choice(hint) for name, hint in fields(cls).items()}
    return known, frozenset(name for name, wanted in known.items() if not wanted.nullable)


def _value(wanted: Choice, value: Any, path: str) -> None:
    if value is None:
        if not wanted.nullable and Any not in wanted.members:
            raise ShapeError(f"{path} cannot be null")
        return
    if wanted.literals is not None and not isinstance(value, Mapping | list):
        # An expandable field has no literals, so a text here is one word of an enumeration.
        if value not in wanted.literals:
            raise ShapeError(
                f"{path} cannot be {value!r}: one of {', '.join(map(str, wanted.literals))}"
            )
        return
    problem = f"{path} cannot be {value!r}"
    for member in wanted.members:
        try:
            _member(member, value, path)
        except ShapeError as error:
            problem = str(error)
        else:
            return
    raise ShapeError(problem)


def _member(member: Any, value: Any, path: str) -> None:
    origin, arguments = _taken_apart(member)
    if member is Any:
        return
    if origin in (list, dict):
        _items(origin, arguments, value, path)
    elif not isinstance(origin, type):
        raise ShapeError(f"{path} has a type the check does not know: {member}")
    elif issubclass(origin, UntypedStripeObject):
        _items(dict, (choice(str), *arguments), value, path)
    elif issubclass(origin, stripe.ListObject):
        _list(arguments, value, path)
    elif issubclass(origin, stripe.StripeObject):
        _object(origin, value, path)
    elif not _is_plain(origin, value):
        raise ShapeError(f"{path} cannot be {value!r}")


@cache
def _taken_apart(member: Any) -> tuple[Any, tuple[Choice, ...]]:
    return get_origin(member) or member, tuple(map(choice, get_args(member)))


def _items(origin: type[Any], arguments: tuple[Choice, ...], value: Any, path: str) -> None:
    if not isinstance(value, origin):
        raise ShapeError(f"{path} must be a {origin.__name__}, not {value!r}")
    pairs: Iterable[tuple[Any, Any]] = enumerate(value)
    if isinstance(value, dict):
        pairs = value.items()
    for key, item in pairs:
        if arguments:
            _value(arguments[-1], item, f"{path}[{key}]")


def _list(arguments: tuple[Choice, ...], value: Any, path: str) -> None:
    if not isinstance(value, Mapping) or value.get("object") != "list":
        raise ShapeError(f"{path} must be a list object")
    if not {"data", "has_more", "url"} <= set(value):
        raise ShapeError(f"{path} needs data, has_more and url")
    _items(list, arguments, value["data"], f"{path}.data")


def _object(cls: type[stripe.StripeObject], value: Any, path: str) -> None:
    if not isinstance(value, Mapping):
        raise ShapeError(f"{path} must be an object, not {value!r}")
    name = getattr(cls, "OBJECT_NAME", None)
    if name is not None and value.get("object") != name:
        raise ShapeError(f"{path} must be a {name}")
    if value.get("deleted") is True and set(value) == DELETED:
        return
    _fields(cls, value, path)


def _is_plain(kind: type, value: Any) -> bool:
    if kind is Decimal:
        return isinstance(value, str)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)
