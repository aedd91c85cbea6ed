"""
What watched requests would have come to, had they been charged: their ledger, played through.

Pure: requests and movements go in by time, figures come out. It does what the hold would have
done, in its order (key, limits, balance), with these differences: a request is charged at the
moment it began, so none beside it holds anything; and what expired meanwhile counts as expired,
also where the rehearsed charges would have used it up. How limits are counted is in
`rehearsed_limits`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from config import Limit
from gateway.operations.rehearsed_limits import Asking, CapChange, Tallies
from gateway.watched import NO_PRICE, Met
from ledger.observed import KeyLife

SCOPE_CALL = 1

Pool = tuple[int, int]
"""Account and credit type."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the price file of its time said of a request."""

    ceiling: int = 0
    """What it would have held; 0 where it is not known, which its cost then is the least of."""
    public: bool = False
    limits: tuple[Limit, ...] = ()
    weight: int = 1
    """How many requests it counts as, for each of them."""
    checked: bool = False
    """It costs nothing and is only checked: it uses rates up, and nothing else."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    A watched request, or one that was charged for real beside them.

    cost: what it would have been charged, or was; smallest units. free: an allowance paid for it.
    """

    at_us: int
    ends_us: int
    route: str
    account: int | None
    key: int | None
    credit_type: int
    cost: int
    met: Met
    terms: Terms
    free: bool = False


class Refusal(NamedTuple):
    """A problem that would have been the answer, and the limit that it would have named."""

    problem: str = ""
    limit: str = ""


PASSED = Refusal()


@dataclass(slots=True)
class Figures:
    """
    Of a route, an account, or all.

    cost: of all that were priced, whoever called. charge: of those that would have been served.
    charged: how many of them would have cost something. free: how many would have, and an
    allowance would have paid. refused: by problem, and the limit it names.
    """

    requests: int = 0
    charged: int = 0
    cost: int = 0
    charge: int = 0
    free: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)
    unpriced: Counter[str] = field(default_factory=Counter)

    def add(self, request: Request, refusal: Refusal, *, free: bool) -> None:
        """Count one request; a refusal without a problem is none."""
        self.requests += 1
        self.cost += request.cost
        if request.met.unpriced:
            self.unpriced[request.met.unpriced] += 1
        if refusal.problem:
            self.refused[refusal] += 1
        elif free:
            self.free += request.cost > 0
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
        caps: Mapping[int, Sequence[CapChange]] | None = None,
    ) -> None:
        """
        Begin with what each pool had, and with limits that nobody has used.

        `freezes` are the moments (microseconds) from which an account was frozen or not, in order;
        `caps` are what each key might spend.
        """
        self.purses = {pool: Purse(start, start) for pool, start in purses.items()}
        self.totals: defaultdict[int, Figures] = defaultdict(Figures)
        self.routes: defaultdict[tuple[str, int], Figures] = defaultdict(Figures)
        self.accounts: defaultdict[tuple[int | None, int], Figures] = defaultdict(Figures)
        self._keys = {key.id: key for key in keys}
        self._freezes = freezes or {}
        self._tallies = Tallies(caps)

    def moved(self, account: int, credit_type: int, amount: int) -> None:
        """Take note of what moved a balance for real: a grant, a charge, an expiry."""
        purse = self.purses.get((account, credit_type))
        if purse is not None:
            purse.left += amount

    def asked(self, request: Request) -> Refusal:
        """Play one request; returns what would have been its answer, or `PASSED`."""
        refusal, free = self._play(request)
        for figures in (
            self.totals[request.credit_type],
            self.routes[request.route, request.credit_type],
            self.accounts[request.account, request.credit_type],
        ):
            figures.add(request, refusal, free=free)
        return refusal

    def charged(self, request: Request) -> None:
        """Count what a request that was charged for real has used of limits."""
        asking = _asking(request)
        if asking is not None:
            allowance = self._tallies.allowance(asking) if request.free else None
            self._tallies.count(asking, allowance=allowance, cost=request.cost)

    def _play(self, request: Request) -> tuple[Refusal, bool]:
        """Return what would have been the answer, and whether an allowance would have paid."""
        if refused := self._refusal(request):
            return Refusal(refused), False
        asking = _asking(request)
        if request.terms.public or asking is None:
            return PASSED, False
        if limit := self._tallies.kept_back(asking):
            return Refusal("rate-limited", limit.name), False
        due = max(request.cost, request.terms.ceiling)
        allowance = self._tallies.allowance(asking) if due else None
        if due and not allowance:
            if self._tallies.capped(asking, due):
                return Refusal("key-cap"), False
            if not self._pay(request, asking.account, due):
                return Refusal("insufficient-credits"), False
        self._tallies.count(asking, allowance=allowance, cost=0 if allowance else request.cost)
        return PASSED, allowance is not None

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
        return self._of_caller(request, request.account, request.key)

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
        return ""

    def _is_frozen(self, account: int, at_us: int) -> bool:
        frozen = False
        for since_us, now_frozen in self._freezes.get(account, ()):
            if since_us > at_us:
                break
            frozen = now_frozen
        return frozen

    def _pay(self, request: Request, account: int, due: int) -> bool:
        purse = self.purses.setdefault((account, request.credit_type), Purse(0, 0))
        if due > max(purse.left, 0):
            purse.short += due
            if purse.dry_us is None:
                purse.dry_us = request.at_us
            return False
        purse.left -= request.cost
        return True


def _asking(request: Request) -> Asking | None:
    """Return a request as limits see it; None where nobody is known whose they could be."""
    if request.account is None or request.key is None:
        return None
    return Asking(
        at_us=request.at_us,
        ends_us=request.ends_us,
        account=request.account,
        key=request.key,
        credit_type=request.credit_type,
        limits=request.terms.limits,
        weight=request.terms.weight,
        failed=request.met.failed,
        holds=not request.terms.checked,
    )
