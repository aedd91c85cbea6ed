"""Building packages: credits for sale."""

from collections.abc import Collection

from config.amounts import LARGEST_AMOUNT
from config.model import Package
from config.reading.kinds import Entry, WrongValueError
from config.reading.parts import Parts, amount, amount_of

MOST_NAMED = 50
"""Routes that an error lists."""

_WHOLE_ONLY = frozenset({"isk"})  # support.stripe.com: deprecation of fractional ISK charges
_THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


def build_package(
    name: str, entry: Entry, parts: Parts, routes: Collection[str] | None
) -> Package | None:
    """
    Make a package; None where something is wrong, which is noted.

    `routes` are the names of those that the file has; None: nobody can tell.
    """
    try:
        kind = parts.credit_type(entry, entry.at)
        credits_each = amount(entry.get("credits"), kind.scale)
        quantity = _quantity(entry)
        if credits_each == 0:
            raise WrongValueError(entry.node("credits"), "A package must give some credits.")
        if credits_each * (quantity[1] if quantity else 1) > LARGEST_AMOUNT:
            hint = "Give fewer credits, or a smaller `max` of `adjustable_quantity`."
            message = "This many credits are more than any balance can hold."
            raise WrongValueError(entry.node("credits"), message, hint)
        trial: Entry | None = entry.get("trial")
        if trial and "interval" not in entry.values:
            raise WrongValueError(trial.at, "Only a subscription can be tried.", "Add `interval`.")
        return Package(
            id=name,
            name=entry.get("name"),
            credits=credits_each,
            credit_type=kind.name,
            price=_money(entry),
            description=entry.get("description", ""),
            interval=entry.get("interval"),
            expires_ms=entry.get("expires"),
            tax=entry.get("tax"),
            promotion_codes=entry.get("promotion_codes", False),
            adjustable_quantity=quantity,
            sort=entry.get("sort", 0),
            active=entry.get("active", True),
            metadata={key: text for key, (_, text) in entry.get("metadata", {}).items()},
            allow_free=entry.get("allow_free", False),
            discounted=entry.get("discounted", "whole"),
            trial_days=trial.get("days") if trial else None,
            trial_credits=amount_of(trial, "credits", kind.scale) if trial else None,
            plan_tier=entry.get("plan_tier", ""),
            feature_flags=tuple(entry.get("feature_flags", ())),
            routes=_routes(entry, routes),
        )
    except WrongValueError as wrong:
        parts.reading.note(wrong)
        return None


def _routes(entry: Entry, names: Collection[str] | None) -> tuple[str, ...]:
    wanted: list[str] = entry.get("routes", [])
    for name in wanted:
        if names is not None and name not in names:
            hint = f"There are: {', '.join(sorted(names)[:MOST_NAMED])}."
            raise WrongValueError(entry.node("routes"), f"There is no route `{name}`.", hint)
    return tuple(dict.fromkeys(wanted))


def _money(entry: Entry) -> dict[str, int]:
    money: dict[str, int] = {}
    for currency, (key, minor) in entry.get("price").items():
        if minor is None:
            continue
        if currency in _THREE_DECIMALS and minor % 10:
            message = f"Stripe takes {currency} amounts only with a 0 as last digit."
            raise WrongValueError(key, message)
        if currency in _WHOLE_ONLY and minor % 100:
            message = f"Stripe takes {currency} amounts only with 00 as last digits."
            raise WrongValueError(key, message)
        money[currency] = minor
    return money


def _quantity(entry: Entry) -> tuple[int, int] | None:
    value = entry.get("adjustable_quantity", False)
    if not isinstance(value, Entry):
        return (1, 99) if value else None
    least, most = value.get("min", 1), value.get("max", 99)
    if least > most:
        raise WrongValueError(value.at, "`min` is above `max`.")
    return least, most
