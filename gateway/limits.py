"""
The limits of a route as the ledger takes them and as clients are told them, made once per version.

The fields are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` names every
limit of the route, `RateLimit` how each stands after this request.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from config import Limit, Plan, PriceList, Route, instead_of
from gateway.headers import Headers
from gateway.problems import Problem, retry_after
from ledger import limits as ledger
from ledger.books import UseKey
from ledger.errors import RateLimited

_WHOSE: dict[str, ledger.Whose] = {"key": "k", "account": "a", "everyone": "e"}
_OF = {"key": "of one key", "account": "of one account", "everyone": "of all callers together"}
_WORDS = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}
_ADD_ONLY = 2**48 - 1
"""More holds than there can be: the following slices of a WebSocket are counted, never refused."""


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """
    What keeps requests of one route within bounds.

    Attributes:
        rate: Of the key over all routes: interval and burst in microseconds, (0, 0) where none is.
        block: The others, as every line of this route carries them; empty where there are none.
        slices: The same for what continues a WebSocket: it is in flight, and no request.
        counts_free: Requests that cost nothing are held all the same, because they use up a quota.
        named: All but allowances, in the order in which the ledger says how they stand.
        policy: `RateLimit-Policy`.
        told: `RateLimit`, with a place for each word in which the ledger says how they stand. Each
            answer needs it, so it is one formatting.
    """

    rate: tuple[int, int] = (0, 0)
    block: bytes = b""
    slices: bytes = b""
    counts_free: bool = False
    named: tuple[Limit, ...] = ()
    policy: tuple[bytes, bytes] = (b"ratelimit-policy", b"")
    told: bytes = b""

    def headers(self, words: Sequence[bytes] = ()) -> Headers:
        """Return the fields for an answer; `words`: how they stand, where the ledger said it."""
        if not self.named:
            return []
        if not words:
            return [self.policy]
        return [self.policy, (b"ratelimit", self.told % tuple(words))]

    def lines(self, words: Sequence[bytes]) -> bytes:
        """Return the same as it is written."""
        if not self.named:
            return b""
        return b"".join(b"%b: %b\r\n" % header for header in self.headers(words))

    def problem(self, refused: RateLimited) -> Problem:
        """Return the 429; it names the limit, and says when to come back."""
        seconds = max(1, -(-refused.retry_after_ms // 1000))
        limit = self.named[refused.number if self.rate[0] else refused.number - 1]
        return Problem(
            "rate-limited",
            f"The limit {limit.name} is reached ({_in_words(limit)}); try again in {seconds} s.",
            headers=(retry_after(seconds), (b"ratelimit", _told(limit) % (b"0", b"%d" % seconds))),
            limit=limit.name,
        )


NONE = RouteLimits()


def limits_over_all(prices: PriceList, plan: Plan | None) -> tuple[Limit, ...]:
    """Return the limits of the file that count for all routes, as they are on a plan."""
    return prices.limits.all if plan is None else instead_of(prices.limits.all, plan.limits)


def limits_on(
    prices: PriceList, route: Route, over_all: Sequence[Limit] | None = None
) -> tuple[Limit, ...]:
    """Return what requests of a route are counted by: the limits over all routes and its own."""
    if route.public:
        return ()
    return tuple(
        one
        for one in (*(prices.limits.all if over_all is None else over_all), *route.limits)
        # A connection is no call that could be free.
        if one.credit_type in (None, route.price.credit_type)
        and not (route.websocket and one.free is not None)
    )


def limits_of(
    prices: PriceList, route: Route, over_all: Sequence[Limit] | None = None
) -> RouteLimits:
    """Work out a route's limits as the ledger and clients are told them."""
    applying = limits_on(prices, route, over_all)
    if not applying:
        return NONE
    limits = [one for one in applying if one.free is None]
    of_key = next((one for one in limits if _is_keys_own(one)), None)
    others = [one for one in limits if one is not of_key]
    # What refuses nobody comes behind what does.
    free = [one for one in applying if one.free is not None]
    rate = (of_key.rate.interval_us, of_key.rate.burst_us) if of_key and of_key.rate else (0, 0)
    named = (of_key, *others) if of_key else tuple(others)
    asked = [_asked(one) for one in (*others, *free)]
    held = [one._replace(most=_ADD_ONLY) for one in asked if one.kind == "F"]
    return RouteLimits(
        rate=rate,
        block=ledger.limits_block(asked, route.weight),
        slices=ledger.limits_block(held) if held else b"",
        counts_free=any(one.quota is not None for one in others),
        named=named,
        policy=(b"ratelimit-policy", b", ".join(map(_policy, named))),
        told=b", ".join(map(_told, named)),
    )


def use_of(limit: Limit, account: int, key: int) -> UseKey:
    """Return under which name Postgres counts a quota or an allowance of a caller."""
    asked = _asked(limit)
    owner = {"k": key, "a": account, "e": 0}[asked.whose]
    return asked.whose, owner, asked.route, asked.id


def _is_keys_own(limit: Limit) -> bool:
    """Whether its state is in the key's record: so the usual one costs no field of its own."""
    everything = limit.route is None and limit.credit_type is None
    return limit.whose == "key" and everything and limit.rate is not None


def _asked(limit: Limit) -> ledger.Limit:
    whose, route = _WHOSE[limit.whose], _place(limit)
    if limit.rate is not None:
        # Another window is another limit; another number of requests is the same one, changed.
        name = b"R" + limit.rate.window_s.to_bytes(3, "little")
        return ledger.Limit(whose, route, name, "R", limit.rate.interval_us, limit.rate.burst_us)
    if limit.in_flight is not None:
        return ledger.Limit(whose, route, b"F\0\0\0", "F", limit.in_flight)
    kind: Literal["Q", "A"] = "A" if limit.free is not None else "Q"
    most = limit.free if limit.free is not None else limit.quota or 0
    return ledger.Limit(whose, route, ledger.window_id(kind, limit.per), kind, most)


def _place(limit: Limit) -> bytes:
    """Return what stands for the requests it is about: all, a credit type's or a route's."""
    if limit.route is not None:
        return _number(limit.route)
    return ledger.ALL_ROUTES if limit.credit_type is None else _number(f"T {limit.credit_type}")


def _number(route: str) -> bytes:
    """Return what stands for a route in Redis: the same in every version that has it."""
    return (zlib.crc32(route.encode()) or 1).to_bytes(4, "little")


def _policy(limit: Limit) -> bytes:
    name = _quoted(limit.name)
    if limit.in_flight is not None:
        return b'%b;q=%d;qu="concurrent-requests"' % (name, limit.in_flight)
    if limit.rate is None:
        window = b";w=86400" if limit.per == "day" else b""  # months have no one length
        return b"%b;q=%d%b" % (name, limit.quota or 0, window)
    at_once = limit.rate.at_once
    window_s = -(-limit.rate.interval_us * at_once // 1_000_000)
    return b"%b;q=%d;w=%d" % (name, at_once, window_s)


def _told(limit: Limit) -> bytes:
    """Return how a limit stands, with places for two words: what is left, and seconds."""
    name = _quoted(limit.name).replace(b"%", b"%%")
    # Nobody knows when what is in flight ends: `%.0b` takes the word and shows nothing of it.
    return name + (b";r=%b%.0b" if limit.in_flight is not None else b";r=%b;t=%b")


def _quoted(name: str) -> bytes:
    """Return a string of structured fields (RFC 9651), which know only ASCII."""
    text = name.encode("ascii", errors="replace")
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _in_words(limit: Limit) -> str:
    if limit.in_flight is not None:
        return f"{limit.in_flight} requests at once {_OF[limit.whose]}"
    if limit.rate is None:
        return f"{limit.quota} requests per {limit.per} {_OF[limit.whose]}"
    per = _WORDS[limit.rate.window_s]
    return f"{limit.rate.requests} requests per {per} {_OF[limit.whose]}"
