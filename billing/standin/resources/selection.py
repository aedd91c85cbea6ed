"""Picking objects by what the request asked for."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from billing.standin.failures import StripeFailure, invalid
from billing.standin.world import World


def matching(
    things: Iterable[dict[str, Any]], given: Mapping[str, Any], *fields: str
) -> Iterator[dict[str, Any]]:
    """Give the objects whose fields equal the parameters of the same names, where given."""
    wanted = {field: given[field] for field in fields if field in given}
    for thing in things:
        if all(thing[field] == value for field, value in wanted.items()):
            yield thing


def asked_for(world: World, kind: str, wanted: str, param: str) -> dict[str, Any]:
    """Give the object in a request's path: 404 if there is none, under the name Stripe gives it."""
    try:
        return world.get(kind, wanted, param)
    except StripeFailure as failure:
        failure.status = 404
        raise


def referred_to(world: World, kind: str, wanted: str, param: str) -> dict[str, Any]:
    """Give the object that a parameter names: 400 if there is none."""
    try:
        return world.get(kind, wanted, param)
    except StripeFailure as failure:
        failure.status = 400
        raise


def refuse_unplayed(given: Mapping[str, Any], names: Iterable[str], what: str) -> None:
    """Refuse parameters that would change what happens, and that are not played here."""
    for name in names:
        if name in given:
            raise invalid(f"The stand-in does not support {name} on {what}.", name)
