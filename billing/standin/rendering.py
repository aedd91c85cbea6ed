"""Turning what the world keeps into what Stripe answers: expansion, pages, no private notes."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from billing.standin.failures import invalid

if TYPE_CHECKING:
    from billing.standin.world import World

Expansion = Callable[..., Any]

DEEPEST_EXPANSION = 4  # levels, as at Stripe
MOST_PER_PAGE = 100
USUAL_PER_PAGE = 10

_EXPANSIONS: dict[tuple[str, str], Expansion] = {}


def expands(kind: str, field: str) -> Callable[[Expansion], Expansion]:
    """
    Register what a field holds that is absent unless expanded: `fn(world, thing) -> value`.

    Fields that hold another object's id need none of this.
    """

    def register(function: Expansion) -> Expansion:
        _EXPANSIONS[kind, field] = function
        return function

    return register


def public(thing: Any) -> Any:
    """Copy an object as the outside may see it: without the fields that begin with `_`."""
    if isinstance(thing, Mapping):
        return {
            key: dict(value) if key == "metadata" and isinstance(value, Mapping) else public(value)
            for key, value in thing.items()
            if not key.startswith("_")
        }
    if isinstance(thing, list):
        return [public(item) for item in thing]
    return thing


def render(world: "World", thing: Mapping[str, Any], expand: Iterable[str] = ()) -> dict[str, Any]:
    """
    Make an answer of an object or a list.

    `expand` are paths like `line_items.data.price.product`; in a list they begin with `data.`.

    Raises:
        StripeFailure: A path names what cannot be expanded.

    """
    answer: dict[str, Any] = public(thing)
    for path in expand:
        parts = path.split(".")
        if len(parts) > DEEPEST_EXPANSION:
            raise invalid(
                f"You cannot expand more than {DEEPEST_EXPANSION} levels of a property. "
                f"Property: {path}",
                param="expand",
            )
        _expand(world, answer, parts, path)
    return answer


def _expand(world: "World", thing: Any, parts: list[str], path: str) -> None:
    if isinstance(thing, list):
        for item in thing:
            _expand(world, item, parts, path)
        return
    if not parts or not isinstance(thing, dict):
        return
    field, *rest = parts
    computed = _EXPANSIONS.get((thing.get("object", ""), field))
    value = thing.get(field)
    if computed is not None and not isinstance(value, Mapping):
        # The kept object is asked, since the private notes are gone from this copy.
        thing[field] = value = public(
            computed(world, world.objects.get(thing.get("id", ""), thing))
        )
    elif isinstance(value, str):
        if value not in world.objects:
            raise _not_expandable(path)
        thing[field] = value = public(world.objects[value])
    elif field not in thing or (not rest and not isinstance(value, dict | list | None)):
        raise _not_expandable(path)
    _expand(world, value, rest, path)


def _not_expandable(path: str) -> Exception:
    hint = (
        "" if path.startswith("data.") else f" You may want to try expanding 'data.{path}' instead."
    )
    return invalid(f"This property cannot be expanded ({path}).{hint}", param="expand")


def listed(
    given: Mapping[str, Any], things: Iterable[Mapping[str, Any]], url: str
) -> dict[str, Any]:
    """
    Cut one page out of objects given oldest first; pages begin with the newest.

    `limit`, `starting_after`, `ending_before` and `created` are read from `given`.
    """
    limit = given.get("limit", USUAL_PER_PAGE)
    if not 1 <= limit <= MOST_PER_PAGE:
        bound = (
            "less than or equal to 100" if limit > MOST_PER_PAGE else "greater than or equal to 1"
        )
        raise invalid(
            f"This value must be {bound}.", param="limit", code="parameter_invalid_integer"
        )
    after, before = given.get("starting_after"), given.get("ending_before")
    if after is not None and before is not None:
        raise invalid("You cannot parameterize both `starting_after` and `ending_before`.")
    newest_first = [one for one in things if created_within(one, given.get("created"))][::-1]
    if before is not None:
        earlier = newest_first[: _position(newest_first, before, "ending_before")]
        page, more = earlier[-limit:], len(earlier) > limit
    else:
        first = 0
        if after is not None:
            first = _position(newest_first, after, "starting_after") + 1
        page = newest_first[first : first + limit]
        more = len(newest_first) > first + limit
    return {"object": "list", "data": page, "has_more": more, "url": url}


def _position(things: list[Mapping[str, Any]], wanted: str, param: str) -> int:
    for position, thing in enumerate(things):
        if thing["id"] == wanted:
            return position
    raise invalid(f"No such object: '{wanted}'", param=param, code="resource_missing")


def created_within(thing: Mapping[str, Any], wanted: Any) -> bool:
    """Say whether the object was made at the moment, or in the range (gt, gte, lt, lte), wanted."""
    if wanted is None:
        return True
    made = thing["created"]
    if isinstance(wanted, int):
        return bool(made == wanted)
    return bool(
        made > wanted.get("gt", -1)
        and made >= wanted.get("gte", 0)
        and made < wanted.get("lt", made + 1)
        and made <= wanted.get("lte", made)
    )
