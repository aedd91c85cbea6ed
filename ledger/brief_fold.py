"""
The fold of usual charges: opened and ended in one batch, held from one lot.

It does to the books what `ledger.fold` does, without a `ChargeBook` per charge. Here is no rule of
its own and nothing is refused: what does not look usual to it, for whatever reason, is folded as
every other fact. `tests/ledger/test_brief_fold.py` holds the two against each other.
"""

from collections import defaultdict
from typing import Any, TypeAlias

from ledger.books import AccountBook, Books, ChargeBook, ChargeState, GrantBook, PoolBook
from ledger.brief_facts import HOLD, SETTLE, Brief, BriefEntry, whole_fact
from ledger.charge_rows import BriefCharge
from ledger.facts import MAX_AMOUNT, Fact, HoldFact, UseFact
from ledger.fold import fold_fact, shown_clock
from ledger.fold_charges import opened_charge
from ledger.fold_checks import MAX_SMALL, MAX_VERSION, Place
from ledger.told import told

_OUTCOMES = {b"c": int(ChargeState.CAPTURED), b"v": int(ChargeState.VOID)}
_CAPTURED = int(ChargeState.CAPTURED)


_Opened: TypeAlias = tuple[int, Brief, AccountBook, PoolBook, GrantBook]
"""A hold that has not ended: its q, its fact, and what it is of."""


class BriefFold:
    """Folds a batch."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._purses: dict[int, tuple[AccountBook, PoolBook]] = {}
        self._opened: dict[bytes, _Opened] = {}
        self._ended: dict[bytes, BriefCharge] = {}
        self._taken: defaultdict[tuple[int, int, int], int] = defaultdict(int)
        self._new: list[BriefCharge] = []

    def fold(self, read: BriefEntry) -> None:
        """Bring the facts of one entry into the books, as `ledger.fold.fold` does."""
        entry = read.entry
        place = Place(entry.epoch, entry.first_q, shown_clock(entry.clock_ms))
        closed_us = place.clock_ms * 1_000
        for q, fact in enumerate(read.facts, entry.first_q):
            if isinstance(fact, tuple):
                kind = fact[0]
                if kind == HOLD:
                    folded = self._hold(fact, q)
                elif kind == SETTLE:
                    folded = self._settle(fact, q, closed_us)
                else:
                    folded = self._capture_whole(fact, q, closed_us)
                if folded:
                    continue
            place.q = q
            self._fold_fact(whole_fact(fact) if isinstance(fact, tuple) else fact, place)

    def take_ended(self) -> list[BriefCharge]:
        """Take the usual charges that have ended and were not taken yet."""
        taken, self._new = self._new, []
        return taken

    def close(self, epoch: int) -> None:
        """Bring into the books what is still kept beside them: open holds and double entry."""
        for hold_id in list(self._opened):
            self._unfold(hold_id, epoch)
        for (credit_type, version, rule), amount in self._taken.items():
            route = self._books.routes.get((version, rule), "?")
            self._books.book(credit_type, credits=-amount, revenue=amount, route=route)
        self._taken.clear()

    def _hold(self, fact: Brief, q: int) -> bool:
        """Open a charge, if it is usual; False: nothing was changed."""
        (
            _, hold_id, account_id, key, credit_type, price, version, rule, _, aseq, balance, lot,
            _, _,
        ) = fact  # fmt: skip
        books = self._books
        purse = self._purses.get(account_id << 8 | credit_type)
        if purse is None:
            purse = self._purse(account_id, credit_type)
        grant = books.grants.get(lot)
        if purse is None or grant is None:
            return False
        account, pool = purse
        if (
            aseq != account.aseq + 1
            or not 0 < price <= MAX_AMOUNT
            or price > grant.remaining
            or grant.account_id != account_id
            or grant.credit_type_id != credit_type
            or pool.remaining - price - pool.debt != balance
            or version > MAX_VERSION
            or rule > MAX_SMALL
            or not key
            or hold_id in self._opened
            or hold_id in self._ended
            or hold_id in books.charges
        ):
            return False
        grant.remaining -= price
        grant.held += price
        grant.state, grant.changed = "live", True
        pool.remaining -= price
        pool.held += price
        pool.changed = True
        account.aseq, account.changed = aseq, True
        self._opened[hold_id] = q, fact, account, pool, grant
        return True

    def _settle(self, fact: Brief, q: int, closed_us: int) -> bool:
        """End a charge that is open here, if its lot alone gets something back."""
        (
            _, hold_id, outcome, captured, reason, status, account_id, credit_type, aseq, balance,
            lot, back, detail,
        ) = fact  # fmt: skip
        opened = self._opened.get(hold_id)
        state = _OUTCOMES.get(outcome)
        if opened is None or state is None:
            return False
        _, hold, account, pool, grant = opened
        held = hold[5]
        if (
            aseq != account.aseq + 1
            or account_id != account.id
            or credit_type != pool.credit_type_id
            or lot != grant.id
            or not back
            or captured + back != held
            or held > grant.held
            or pool.remaining + back - pool.debt != balance
            or not 0 < status <= MAX_SMALL
            or (captured and state != _CAPTURED)
        ):
            return False
        grant.held -= held
        grant.remaining += back
        grant.state, grant.changed = "live", True
        pool.held -= held
        pool.remaining += back
        pool.captured += captured
        pool.changed = True
        account.aseq, account.changed = aseq, True
        ending = state, captured, balance, q, aseq, closed_us, reason, status
        self._end(hold_id, opened, ending, detail)
        return True

    def _capture_whole(self, fact: Brief, q: int, closed_us: int) -> bool:
        """End a charge that is open here; no balance moves."""
        _, hold_id, reason, status, detail = fact
        opened = self._opened.get(hold_id)
        if opened is None:
            return False
        _, hold, _, pool, grant = opened
        held = hold[5]
        if held > grant.held or not 0 < status <= MAX_SMALL:
            return False
        grant.held -= held
        grant.rest()
        pool.held -= held
        pool.captured += held
        pool.changed = True
        ending = _CAPTURED, held, hold[10], q, None, closed_us, reason, status
        self._end(hold_id, opened, ending, detail)
        return True

    def _end(self, hold_id: bytes, opened: _Opened, ending: tuple[Any, ...], detail: bytes) -> None:
        opened_q, hold, _, _, _ = opened
        del self._opened[hold_id]
        ended = self._ended[hold_id] = opened_q, hold, ending, told(hold[-1], detail)
        self._new.append(ended)
        self._taken[hold[4], hold[6], hold[7]] += ending[1]
        self._books.closed.append(hold_id)

    def _purse(self, account_id: int, credit_type: int) -> tuple[AccountBook, PoolBook] | None:
        account = self._books.accounts.get(account_id)
        pool = self._books.pools.get((account_id, credit_type))
        if account is None or pool is None:
            return None
        purse = self._purses[account_id << 8 | credit_type] = account, pool
        return purse

    def _fold_fact(self, fact: Fact, place: Place) -> None:
        """Fold a fact as every other; the charge it is about must then be among the books."""
        hold_id = getattr(fact, "hold_id", None)
        if hold_id is not None and not (isinstance(fact, UseFact) and _is_apart(fact)):
            self._unfold(hold_id, place.epoch)
        fold_fact(self._books, fact, place)

    def _unfold(self, hold_id: bytes, epoch: int) -> None:
        """Make a charge that is kept here a `ChargeBook`; nobody changes one that has ended."""
        opened = self._opened.pop(hold_id, None)
        if opened is not None:
            fact = whole_fact(opened[1])
            assert isinstance(fact, HoldFact)
            self._books.charges[hold_id] = opened_charge(fact, Place(epoch, opened[0], 0))
        elif (ended := self._ended.get(hold_id)) is not None:
            q, (_, _, account, key, credit_type, held, version, rule, *_), ending, _ = ended
            self._books.charges[hold_id] = ChargeBook(
                hold_id,
                account,
                key,
                credit_type,
                held,
                ChargeState(ending[0]),
                version,
                rule,
                epoch,
                q,
            )


def _is_apart(fact: UseFact) -> bool:
    """Whether uses are counted without a look at the charge: only an allowance is noted there."""
    return all(loan.kind != "A" for loan in fact.uses)
