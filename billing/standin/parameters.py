"""Checking what a request gives against the SDK's parameter types, and turning text into values."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args, get_origin

import stripe

from billing.standin.failures import StripeFailure, invalid
from billing.standin.sdk_types import Choice, choice, fields, params_class

_INTEGER = re.compile(r"-?[0-9]{1,18}")
REMOVED = {"payment_method_types": "payment_method_types_no_longer_supported"}
"""Codes of parameters that the pinned version took away."""

_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,12})?")


def checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the parameters with their real types, or refuse them as Stripe does.

    Args:
        name: The SDK's class below `stripe.params`, like `checkout.SessionCreateParams`.
        given: Nested dicts of text, as `forms.decode` makes them.

    Raises:
        StripeFailure: An unknown parameter, a missing one, or a value of the wrong kind.

    """
    return _hash(params_class(name), given, "")


def _hash(cls: Any, given: Mapping[str, Any], path: str) -> dict[str, Any]:
    known = fields(cls)
    strange = [_below(path, key) for key in given if key not in known]
    if strange:
        plural = "s" if len(strange) > 1 else ""
        raise invalid(
            f"Received unknown parameter{plural}: {', '.join(strange)}",
            param=strange[0],
            code=REMOVED.get(strange[0], "parameter_unknown"),
        )
    for key in known:
        if key in cls.__required_keys__ and key not in given:
            missing = _below(path, key)
            raise invalid(
                f"Missing required param: {missing}.", param=missing, code="parameter_missing"
            )
    return {key: _value(known[key], value, _below(path, key)) for key, value in given.items()}


def _below(path: str, key: str) -> str:
    return f"{path}[{key}]" if path else key


def _value(hint: Any, value: Any, path: str) -> Any:
    wanted = choice(hint)
    if isinstance(value, Mapping):
        return _container(wanted, value, path)
    if value == "":
        return _empty(wanted, path)
    return _scalar(wanted, value, path)


def _container(wanted: Choice, value: Mapping[str, Any], path: str) -> Any:
    for member in wanted.members:
        if hasattr(member, "__required_keys__"):
            return _hash(member, value, path)
        if get_origin(member) is dict:
            item = get_args(member)[1]
            return {key: _item_of_hash(item, one, _below(path, key)) for key, one in value.items()}
        if get_origin(member) is list:
            return [
                _value(get_args(member)[0], one, _below(path, str(position)))
                for position, one in enumerate(_in_order(value, path))
            ]
        if member is Any or _is_object(member):
            return dict(value)
    raise invalid(f"Invalid string: {dict(value)}", param=path)


def _item_of_hash(item: Any, value: Any, path: str) -> Any:
    if item is str and not isinstance(value, Mapping):
        return value  # metadata: an empty value unsets the key
    return _value(item, value, path)


def _in_order(value: Mapping[str, Any], path: str) -> list[Any]:
    if not all(key.isdigit() for key in value):
        raise invalid("Invalid array", param=path)
    return [value[key] for key in sorted(value, key=int)]


def _empty(wanted: Choice, path: str) -> str:
    if wanted.clears:
        return ""
    raise invalid(
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to "
        f"unset a parameter; however '{path}' cannot be unset. You should remove '{path}' from "
        "your request or supply a non-empty value.",
        param=path,
        code="parameter_invalid_empty",
    )


def _scalar(wanted: Choice, value: str, path: str) -> Any:
    if wanted.literals is not None and value in wanted.literals:
        return value
    problem: StripeFailure | None = None
    for member in sorted(wanted.members, key=lambda member: member is str):
        if member is str and wanted.literals is None:
            return value
        try:
            if member is bool:
                return _boolean(value, path)
            if member is int:
                return _integer(value, path)
            if member in (float, Decimal):
                return _number(value, path, member)
        except StripeFailure as failure:
            problem = failure
    if wanted.literals is not None:
        raise invalid(f"Invalid {path}: must be one of {_spoken(wanted.literals)}", param=path)
    if problem is not None:
        raise problem
    kind = "array" if any(get_origin(member) is list for member in wanted.members) else "object"
    raise invalid(f"Invalid {kind}", param=path)


def _spoken(words: tuple[Any, ...]) -> str:
    if len(words) < 3:
        return " or ".join(words)
    return f"{', '.join(words[:-1])}, or {words[-1]}"


def _boolean(value: str, path: str) -> bool:
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", param=path)
    return value == "true"


def _integer(value: str, path: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise invalid(f"Invalid integer: {value}", param=path, code="parameter_invalid_integer")
    return int(value)


def _number(value: str, path: str, member: Any) -> float | str:
    if not _NUMBER.fullmatch(value):
        raise invalid(f"Invalid decimal: {value}", param=path)
    return float(value) if member is float else value


def _is_object(member: Any) -> bool:
    origin = get_origin(member) or member
    return isinstance(origin, type) and issubclass(origin, stripe.StripeObject)
