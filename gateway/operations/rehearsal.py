"""
What watched requests would have come to, had they been charged: their ledger, played through.

Pure: requests and movements go in by time, figures come out. It does what the hold would have
done, in its order (key, limits, balance), with these differences: a request is charged at the
moment it began, so none beside it holds anything; and what expired meanwhile counts as expired,
also where the rehearsed charges would have used it up.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.watched import NO_PRICE, Met
from ledger.observed import KeyLife

SCOPE_CALL = 1

Pool = tuple[int, int]
"""Account and credit type."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate: microseconds between requests, and how far ahead of that its owner may run."""

    name: str
    """Tells it from others of the same owner."""
    whose: Literal["key", "account", "everyone"]
    interval_us: int
    burst_us: int

    def of(self, account: int, key: int) -> tuple[str, int]:
        """Name the one whose requests are counted together."""
        owner = {"key": key, "account": account, "everyone": 0}[self.whose]
        return f"{self.whose} {self.name}", owner


@dataclass(frozen=True, slots=True)
class Terms:
    """What the price file of its time said of a request."""

    ceiling: int = 0
    """What it would have held; 0 where it is not known, which its cost then is the least of."""
    public: bool = False
    paces: tuple[Pace, ...] = ()
    weight: int = 1
    """How many requests it counts as, for each of them."""


@dataclass(frozen=True, slots=True)
class Request:
    """A watched request. `cost`: what it would have been charged; smallest units."""

    at_us: int
    route: str
    account: int | None
    key: int | None
    credit_type: int
    cost: int
    met: Met
    terms: Terms


@dataclass(slots=True)
class Figures:
    """
    Of a route, an account, or all.

    cost: of all that were priced, whoever called. charge: of those that would have been served.
    charged: how many of them would have cost something.
    """

    requests: int = 0
    charged: int = 0
    cost: int = 0
    charge: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unpriced: Counter[str] = field(default_factory=Counter)

    def add(self, request: Request, refusal: str) -> None:
        """Count one request; an empty refusal is none."""
        self.requests += 1
        self.cost += request.cost
        if request.met.unpriced:
            self.unpriced[request.met.unpriced] += 1
        if refusal:
            self.refused[refusal] += 1
        elif request.cost:
            self.charged += 1
            self.charge += request.cost


@dataclass(slots=True)
class Purse:
    """
    What an account has of one type as the rehearsal goes on.

    dry_us: when a request could first not be paid; None: never. short: what all such requests
    together would have cost.
    """

    start: int
    left: int
    dry_us: int | None = None
    short: int = 0


class Rehearsal:
    """Plays requests and movements through, in the order in which they are told."""

    def __init__(
        self,
        purses: Mapping[Pool, int],
        *,
        keys: Iterable[KeyLife] = (),
        freezes: Mapping[int, list[tuple[int, bool]]] | None = None,
    ) -> None:
        """
        Begin with what each pool had.

        `freezes` are the moments (microseconds) from which an account was frozen or not, in order.
        """
        self.purses = {pool: Purse(start, start) for pool, start in purses.items()}
        self.totals: defaultdict[int, Figures] = defaultdict(Figures)
        self.routes: defaultdict[tuple[str, int], Figures] = defaultdict(Figures)
        self.accounts: defaultdict[tuple[int | None, int], Figures] = defaultdict(Figures)
        self._keys = {key.id: key for key in keys}
        self._freezes = freezes or {}
        self._paced: dict[tuple[str, int], int] = {}

    def moved(self, account: int, credit_type: int, amount: int) -> None:
        """Take note of what moved a balance for real: a grant, a charge, an expiry."""
        purse = self.purses.get((account, credit_type))
        if purse is not None:
            purse.left += amount

    def asked(self, request: Request) -> str:
        """Play one request; returns the problem that would have been its answer, or nothing."""
        refusal = self._refusal(request)
        for figures in (
            self.totals[request.credit_type],
            self.routes[request.route, request.credit_type],
            self.accounts[request.account, request.credit_type],
        ):
            figures.add(request, refusal)
        return refusal

    def _refusal(self, request: Request) -> str:
        met, terms = request.met, request.terms
        if met.refused:
            return met.refused
        if met.unpriced and met.unpriced != NO_PRICE:
            return met.unpriced
        if terms.public:
            return ""
        if request.account is None or request.key is None:
            return "key-missing"  # recorded by a release that did not say why
        refusal = self._of_caller(request, request.account, request.key)
        return refusal or self._pay(request, request.account, request.key)

    def _of_caller(self, request: Request, account: int, key_id: int) -> str:
        if self._is_frozen(account, request.at_us):
            return "account-frozen"
        key = self._keys.get(key_id)
        if key is None:
            return "key-invalid"
        if key.revoked_at is not None and key.revoked_at.timestamp() * 1e6 <= request.at_us:
            return "key-revoked"
        if key.expires_ms * 1000 <= request.at_us:
            return "key-expired"
        if not key.scopes & SCOPE_CALL:
            return "scope-missing"
        for pace in request.terms.paces:
            ahead_us = (request.terms.weight - 1) * pace.interval_us - pace.burst_us
            if self._paced.get(pace.of(account, key_id), 0) + ahead_us > request.at_us:
                return "rate-limited"
        return ""

    def _is_frozen(self, account: int, at_us: int) -> bool:
        frozen = False
        for since_us, now_frozen in self._freezes.get(account, ()):
            if since_us > at_us:
                break
            frozen = now_frozen
        return frozen

    def _pay(self, request: Request, account: int, key_id: int) -> str:
        purse = self.purses.setdefault((account, request.credit_type), Purse(0, 0))
        due = max(request.cost, request.terms.ceiling)
        if due > max(purse.left, 0):
            purse.short += due
            if purse.dry_us is None:
                purse.dry_us = request.at_us
            return "insufficient-credits"
        purse.left -= request.cost
        for pace in request.terms.paces:
            # The generic cell rate algorithm, as the hold keeps it.
            owner = pace.of(account, key_id)
            reached_us = max(self._paced.get(owner, 0), request.at_us)
            self._paced[owner] = reached_us + request.terms.weight * pace.interval_us
        return ""
