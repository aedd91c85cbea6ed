"""What a journal's facts add up to, summed by hand beside the model and the scripts."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from ledger.account_record import Pool
from ledger.facts import (
    ClaimFact,
    ControlFact,
    Fact,
    HoldFact,
    LateFact,
    LotExpired,
    SettleFact,
    WholeCapture,
)
from ledger.journal_entry import FIRST_CHAIN, Entry
from ledger.records import Meta


class JournalAudit:
    """Follows the facts of all epochs: every hold ends once, and credits are conserved."""

    def __init__(self) -> None:
        self.chains: list[str] = []
        """Of this epoch's entries."""
        self.prices: dict[bytes, tuple[int, int, int]] = {}
        """Account, credit type and price of every hold there was."""
        self.endings: dict[bytes, str] = {}
        self.owners: dict[tuple[int, bytes], bytes] = {}
        """Which hold has an account's Idempotency-Key."""
        self.claimed: dict[bytes, tuple[int, bytes]] = {}
        self._paid: dict[bytes, int] = {}
        self._open: dict[bytes, tuple[int, int]] = {}
        self._sums: defaultdict[tuple[int, int], Counter[str]] = defaultdict(Counter)

    def begin_epoch(self) -> None:
        """Begin a journal that continues none."""
        self.chains = []

    def follow(self, entry: Entry) -> None:
        """One more entry, which must continue the last."""
        assert entry.previous == (self.chains[-1] if self.chains else FIRST_CHAIN)
        self.chains.append(entry.chain)
        for fact in entry.facts:
            self._sum_up(fact)

    def _sum_up(self, fact: Fact) -> None:
        match fact:
            case HoldFact():
                assert fact.hold_id not in self.prices
                self.prices[fact.hold_id] = (fact.account, fact.credit_type, fact.price)
                self._open[fact.hold_id] = (fact.credit_type, fact.price)
                self._sums[fact.account, fact.credit_type]["held"] += fact.price
            case SettleFact() | WholeCapture():
                assert fact.hold_id not in self.endings
                outcome = fact.outcome if isinstance(fact, SettleFact) else "c"
                self.endings[fact.hold_id] = outcome
                del self._open[fact.hold_id]
                account, credit_type, price = self.prices[fact.hold_id]
                captured = fact.captured if isinstance(fact, SettleFact) else price
                self._sums[account, credit_type]["held"] -= price
                self._sums[account, credit_type]["used"] += captured
                self._pay(fact.hold_id, captured)
            case LateFact():
                assert self.endings.get(fact.hold_id, "x") == "x"
                self.endings[fact.hold_id] = "l"
                self._sums[fact.account, fact.credit_type]["used"] += fact.taken
                self._pay(fact.hold_id, fact.taken)
                assert fact.taken == sum(part.amount for part in fact.allocation)
            case ClaimFact():
                key = fact.account, fact.key_hash
                owner = self.owners.get(key, fact.hold_id)
                assert owner == fact.hold_id or self.endings[owner] in ("v", "x")
                assert self.claimed.setdefault(fact.hold_id, key) == key
                self.owners[key] = fact.hold_id
                self._pay(fact.hold_id, 0)
            case LotExpired():
                self._sums[fact.account, fact.credit_type]["used"] += fact.amount
            case ControlFact():
                sums = self._sums[fact.account, fact.control.credit_type]
                if fact.control.kind in "ge" and fact.result == "a":
                    sums["given"] += fact.control.amount
                elif fact.control.kind == "w":
                    sums["given"] -= fact.control.amount

    def _pay(self, hold: bytes, units: int) -> None:
        """One hold of all that ever had a key takes credits for it."""
        self._paid[hold] = self._paid.get(hold, 0) + units
        key = self.claimed.get(hold)
        if key is not None:
            having = (one for one, its_key in self.claimed.items() if its_key == key)
            assert sum(self._paid.get(one, 0) > 0 for one in having) <= 1, "charged twice"

    def check_pools(self, account: int, pools: Iterable[Pool]) -> None:
        """Credits are conserved: what was given is there, held, or used."""
        for pool in pools:
            sums = self._sums[account, pool.credit_type]
            assert sums["given"] == pool.balance + sums["held"] + sums["used"]

    def check_windows(self, meta: Meta) -> None:
        """The window knows what is open."""
        held: Counter[int] = Counter()
        for credit_type, price in self._open.values():
            held[credit_type] += price
        for one in meta.types:
            assert one.held - one.returned == held[one.credit_type]
