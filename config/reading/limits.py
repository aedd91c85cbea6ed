"""Building limits: of the file and of each route, and what a request's weight has to fit into."""

from typing import get_args

from config.limits import Limit, Limits, RateLimit, Whose
from config.reading.kinds import Entry, Reading, WrongValueError
from config.reading.shape import WINDOWS_S


def build_limits(written: Entry | None, reading: Reading) -> Limits:
    """Make the limits over all routes; what is wrong is noted and left out."""
    try:
        return Limits(_limits(written, None, ""))
    except WrongValueError as wrong:
        reading.note(wrong)
        return Limits()


def route_limits(route: Entry, key: str, name: str, *, is_free: bool) -> tuple[Limit, ...]:
    """
    Make the limits of one route alone.

    Args:
        route: As it was written.
        key: What tells it from other routes: methods and path.
        name: What it is called.
        is_free: Whether it costs nothing, and so holds nothing.

    Raises:
        WrongValueError: One of them cannot be.

    """
    for field in ("limits", "weight"):
        if field in route.values and route.get("public", False):
            message = "A public route asks for no key, so nobody's requests are counted."
            raise WrongValueError(route.node(field), message, f"Remove `{field}`.")
    limits = _limits(route.get("limits"), key, f" {name}")
    if is_free and any(limit.in_flight for limit in limits):
        message = "A route that costs nothing holds nothing, so nothing counts what is in flight."
        raise WrongValueError(route.node("limits"), message, "Remove `in_flight`.")
    return limits


def check_weight(route: Entry, limits: tuple[Limit, ...]) -> int:
    """
    Give how many requests one of this route counts as.

    Raises:
        WrongValueError: So many at once that no request would ever pass.
    """
    weight: int = route.get("weight", 1)
    for limit in limits:
        if limit.rate is not None and weight > limit.rate.at_once:
            message = f"A request that counts as {weight} can never pass the limit {limit.name}."
            hint = f"It lets {limit.rate.at_once} through at once."
            raise WrongValueError(route.node("weight"), message, hint)
    return weight


def _limits(written: Entry | None, route: str | None, behind: str) -> tuple[Limit, ...]:
    built: dict[str, Limit] = {}
    for whose in get_args(Whose):
        field = whose if whose == "everyone" else f"per_{whose}"
        given: Entry | list[Entry] = written.get(field, []) if written else []
        for entry in given if isinstance(given, list) else [given]:
            for limit in _of_one(entry, whose, route, behind):
                if limit.name in built:
                    message = f"There is a limit {limit.name} already."
                    raise WrongValueError(entry.at, message, "Give each window once.")
                built[limit.name] = limit
    return tuple(built.values())


def _of_one(entry: Entry, whose: Whose, route: str | None, behind: str) -> list[Limit]:
    limits: list[Limit] = []
    per: str | None = entry.get("per")
    requests: int | None = entry.get("requests")
    if requests is None and entry.get("in_flight") is None:
        message = "The key `requests` is missing."
        raise WrongValueError(entry.at, message, "Give `requests` and `per`, or `in_flight`.")
    if (requests is None) != (per is None):
        missing = "requests" if requests is None else "per"
        raise WrongValueError(entry.at, f"The key `{missing}` is missing.")
    if "burst" in entry.values and requests is None:
        raise WrongValueError(entry.node("burst"), "`burst` is for `requests`.", "Remove it.")
    if requests is not None and per is not None:
        rate = RateLimit(requests, WINDOWS_S[per], entry.get("burst"))
        if rate.burst_us > WINDOWS_S["day"] * 31_000_000:
            message = "After such a burst nothing would pass for a month."
            raise WrongValueError(entry.node("burst"), message, "Take a smaller burst.")
        limits.append(Limit(f"{whose}-{per}{behind}", whose, route, rate))
    if entry.get("in_flight") is not None:
        in_flight: int = entry.get("in_flight")
        limits.append(Limit(f"{whose}-in-flight{behind}", whose, route, in_flight=in_flight))
    return limits
