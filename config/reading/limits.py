"""Building limits: of the file and of each route, and what a request's weight has to fit into."""

from dataclasses import replace
from typing import get_args

from config.limits import Limit, Limits, Period, RateLimit, Whose
from config.reading.kinds import Entry, WrongValueError
from config.reading.parts import Parts
from config.reading.shape import WINDOWS_S


def build_limits(written: Entry | None, parts: Parts) -> Limits:
    """Make the limits over all routes; what is wrong is noted and left out."""
    try:
        return Limits(_limits(written, None, "", parts))
    except WrongValueError as wrong:
        parts.reading.note(wrong)
        return Limits()


def route_limits(
    route: Entry, parts: Parts, key: str, name: str, *, is_free: bool
) -> tuple[Limit, ...]:
    """
    Make the limits of one route alone.

    Args:
        route: As it was written.
        parts: Of the file.
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
    limits = _limits(route.get("limits"), key, f" {name}", parts)
    if is_free and any(limit.in_flight for limit in limits):
        message = "A route that costs nothing holds nothing, so nothing counts what is in flight."
        raise WrongValueError(route.node("limits"), message, "Remove `in_flight`.")
    if (is_free or route.get("websocket", False)) and any(limit.free for limit in limits):
        message = "Only requests that cost something can be `free`, and no WebSockets."
        raise WrongValueError(route.node("limits"), message, "Remove `free`.")
    return limits


def limits_of_plan(entry: Entry, parts: Parts, key: str | None, behind: str) -> tuple[Limit, ...]:
    """
    Make the limits of a plan, or of one of its routes (`key`, and what ends their names).

    Raises:
        WrongValueError: One of them cannot be.
    """
    return _limits(entry.get("limits"), key, behind, parts)


def never_passes(weight: int, limits: tuple[Limit, ...]) -> str:
    """Name a limit that no request passes which counts as so many; empty where there is none."""
    for limit in limits:
        most = limit.rate.at_once if limit.rate is not None else limit.quota or weight
        if weight > most:
            return limit.name
    return ""


def check_weight(route: Entry, limits: tuple[Limit, ...]) -> int:
    """
    Give how many requests one of this route counts as.

    Raises:
        WrongValueError: So many at once that no request would ever pass.
    """
    weight: int = route.get("weight", 1)
    for limit in limits:
        most = limit.rate.at_once if limit.rate is not None else limit.quota or weight
        if weight > most:
            message = f"A request that counts as {weight} can never pass the limit {limit.name}."
            raise WrongValueError(route.node("weight"), message, f"It lets {most} through at once.")
    return weight


def _limits(
    written: Entry | None, route: str | None, behind: str, parts: Parts
) -> tuple[Limit, ...]:
    built: dict[str, Limit] = {}
    for whose in get_args(Whose):
        field = whose if whose == "everyone" else f"per_{whose}"
        given: Entry | list[Entry] = written.get(field, []) if written else []
        for entry in given if isinstance(given, list) else [given]:
            kind = (
                parts.credit_type(entry, entry.at).name if "credit_type" in entry.values else None
            )
            for limit in _of_one(entry, whose, f" {kind}{behind}" if kind else behind):
                if limit.name in built:
                    message = f"There is a limit {limit.name} already."
                    raise WrongValueError(entry.at, message, "Give each window once.")
                built[limit.name] = replace(limit, route=route, credit_type=kind)
    return tuple(built.values())


def _of_one(entry: Entry, whose: Whose, behind: str) -> list[Limit]:
    limits: list[Limit] = []
    if rate := _rate(entry):
        limits.append(Limit(f"{whose}-{entry.get('per')}{behind}", whose, rate=rate))
    if in_flight := entry.get("in_flight"):
        limits.append(Limit(f"{whose}-in-flight{behind}", whose, in_flight=in_flight))
    if quota := entry.get("quota"):
        per: Period = quota.get("per")
        most: int = quota.get("requests")
        limits.append(Limit(f"{whose}-quota-{per}{behind}", whose, quota=most, per=per))
    if free := entry.get("free"):
        per, most = free.get("per"), free.get("requests")
        limits.append(Limit(f"{whose}-free-{per}{behind}", whose, free=most, per=per))
    if not limits:
        hint = "Give `requests` and `per`, or `in_flight`, `quota` or `free`."
        raise WrongValueError(entry.at, "The key `requests` is missing.", hint)
    return limits


def _rate(entry: Entry) -> RateLimit | None:
    per: str | None = entry.get("per")
    requests: int | None = entry.get("requests")
    if "burst" in entry.values and requests is None:
        raise WrongValueError(entry.node("burst"), "`burst` is for `requests`.", "Remove it.")
    if requests is None or per is None:
        if requests is not None or per is not None:
            missing = "requests" if requests is None else "per"
            raise WrongValueError(entry.at, f"The key `{missing}` is missing.")
        return None
    rate = RateLimit(requests, WINDOWS_S[per], entry.get("burst"))
    if rate.burst_us > WINDOWS_S["day"] * 31_000_000:
        message = "After such a burst nothing would pass for a month."
        raise WrongValueError(entry.node("burst"), message, "Take a smaller burst.")
    return rate
