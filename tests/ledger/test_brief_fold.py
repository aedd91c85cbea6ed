"""
The short way of usual charges against the fold of every fact: the same rows, sums and digests.

Facts of a played Redis, some of them tampered with, in entries and batches of any size; the fold
that makes a value of every fact and charge is the reference. FAREBOX_EXAMPLES says how many.
"""

import copy
import os
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import posting
from ledger.books import AccountBook, AppliedControl, Books, GrantBook, PoolBook
from ledger.books_store import Batch, ChargeRows
from ledger.brief_facts import read_briefly, whole_fact
from ledger.charge_copy import COPIED
from ledger.charge_digest import SaidOfCharges
from ledger.charge_rows import COLUMNS
from ledger.facts import (
    NEVER,
    Allocated,
    ClaimFact,
    Control,
    Fact,
    HoldFact,
    LotAmount,
    ObservedFact,
    SettleFact,
    UseFact,
    WholeCapture,
)
from ledger.fold import fold
from ledger.journal_entry import Entry
from ledger.limits import Loan, window_id
from tests.ledger.copied import split_rows
from tests.ledger.journal import Journal, hold_id
from tests.ledger.player import Player

EXAMPLES = int(os.environ.get("FAREBOX_EXAMPLES", "150"))
ACCOUNTS = (1, 2, 2**32 + 7)
DETAILS = (
    b"", b"", b"", b'{"m":[],"ms":12}', b'{"m":[null,3],"ms":0,"o":7}', b'{"u":[5,2]}', b"[]", b"{",
    '{"p":"gold ü","r":{"asin":"B0\\"1","b":true,"a":-3},"x":"a \\"note\\""}'.encode(),
)  # fmt: skip
KINDS = ("hold",) * 5 + ("settle",) * 4 + ("void", "expire", "late", "lot", "claw", "grant", "odd")


class World:
    """Accounts with lots in played Redis; the same books twice; and the journal between."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.journal = Journal()
        self.players = {account: Player(account) for account in ACCOUNTS}
        self.books = Books(
            credit_types=frozenset({1, 2}),
            accounts={account: AccountBook(account, 1, 0, 0, 0) for account in ACCOUNTS},
            pools={(account, 2): PoolBook(account, 2) for account in ACCOUNTS},
            routes={(1, 0): "search", (1, 1): "chat"},
        )
        self.ids = 0

    def new_id(self) -> bytes:
        self.ids += self.chance.randrange(1, 3)
        return hold_id(self.ids)

    def facts(self) -> list[Fact]:
        """What one more thing that happens writes."""
        chance = self.chance
        player = chance.choice(list(self.players.values()))
        pool, open_holds = player.pool(1), list(player.holds)
        what, amount = chance.choice(KINDS), chance.randrange(1, 40)
        detail = chance.choice(DETAILS)
        if what == "grant" or (what == "hold" and pool.balance < amount):
            return [self.grant(player, amount * 20)]
        if what == "claw":
            return [self.order(player, Control("w", 0, 1, 0, amount))]
        if what == "hold":
            held = player.hold(self.new_id(), amount, rule=chance.randrange(2), detail=detail)
            return [held, *self.beside(held)]
        if what in {"settle", "void", "expire"} and open_holds:
            ended = chance.choice(open_holds)
            price = player.holds[ended].price
            captured = chance.choice((price, chance.randrange(price + 1)))
            reason = {"settle": 1, "void": 20, "expire": 40}[what]
            captured = captured if what == "settle" else 0
            status = chance.choice((200, 200, 200, 0, 499))
            return [player.settle(ended, captured, reason, status, detail)]
        if what == "late":
            return [player.late(chance.choice([self.new_id(), *open_holds]), amount)]
        lots = [lot for lot, (_, _, remaining) in pool.lots.items() if remaining]
        if what == "lot" and lots:
            return [player.expire_lot(chance.choice(lots))]
        id_ = hold_id(chance.randrange(self.ids + 2))
        if chance.random() < 0.5:
            return [ObservedFact(id_, player.account, 1, 1, amount, 1, 0, 200, detail)]
        return [ClaimFact(id_, player.account, bytes(16), bytes(16))]

    def beside(self, held: HoldFact) -> list[Fact]:
        """What stands right behind a hold with limits or an Idempotency-Key."""
        found: list[Fact] = []
        if self.chance.random() < 0.2:
            kind = self.chance.choice("QAC")
            loan = Loan("a", bytes(4), window_id(kind, "day"), kind, 7, 1)  # type: ignore[arg-type]
            found.append(UseFact(held.hold_id, held.account, held.key, False, (loan,)))
        if self.chance.random() < 0.1:
            found.append(ClaimFact(held.hold_id, held.account, bytes(16), bytes(16)))
        return found

    def order(self, player: Player, control: Control) -> Fact:
        control = replace(control, cseq=player.cseq + 1)
        applied = AppliedControl(control, "clawback" if control.kind == "w" else None)
        self.books.controls[player.account, control.cseq] = applied
        return player.control(control.pack())

    def grant(self, player: Player, amount: int) -> Fact:
        lot = len(self.books.grants) + 1
        self.books.grants[lot] = GrantBook(
            lot, player.account, 1, "purchase", amount, 0, 0, 0, 0, "pending"
        )
        if self.chance.random() < 0.05:
            self.books.grants[lot].held = -10  # as no history leaves it
        return self.order(player, Control("g", 0, 1, lot, amount, 100, NEVER))

    def tampered(self, fact: Fact) -> Fact:
        """The fact with something in it that is seldom, or wrong."""
        chance = self.chance
        other = hold_id(chance.randrange(self.ids + 2))
        changes: list[dict[str, Any]] = [{"hold_id": other}]
        if isinstance(fact, HoldFact):
            lot = Allocated(chance.randrange(1, 9), 100, NEVER, fact.price)
            changes += [
                {"aseq": fact.aseq + 1}, {"balance": fact.balance + 1}, {"price": fact.price + 1},
                {"price": 0, "allocation": ()}, {"allocation": (lot,)}, {"key": 0}, {"account": 9},
                {"credit_type": 2}, {"version": 2**31}, {"rule": 2**15}, {"price": 10**14},
                {"account": ACCOUNTS[0]}, {"allocation": (lot, lot)}, {"version": 5},
                {"price": 0, "allocation": (lot._replace(amount=0),), "balance": fact.balance + fact.price},
                {"credit_type": 2, "balance": -fact.price},
            ]  # fmt: skip
        elif isinstance(fact, SettleFact):
            changes += [
                {"aseq": fact.aseq - 1}, {"balance": fact.balance - 1}, {"status": 40_000},
                {"captured": fact.captured + 1}, {"debt_paid": 1}, {"given_back": ()},
                {"given_back": (LotAmount(chance.randrange(1, 9), 5),)}, {"outcome": "v"},
                {"outcome": "x"}, {"outcome": "?"}, {"account": 1}, {"credit_type": 2}, {"status": 0},
            ]  # fmt: skip
            for lot, back in fact.given_back:
                changes.append({"given_back": (LotAmount(lot % 8 + 1, back),)})
                nothing_back = {"captured": fact.captured + back, "balance": fact.balance - back}
                changes.append({"given_back": (LotAmount(lot, 0),)} | nothing_back)
        elif isinstance(fact, WholeCapture):
            changes += [{"status": 40_000}, {"status": 0}, {"reason": 255}]
        else:
            return fact
        return replace(fact, **chance.choice(changes))

    def batch(self) -> list[Entry]:
        """Entries of what happens next; what was tampered with may come a second time, right."""
        chance, facts = self.chance, list[Fact]()
        for _ in range(chance.randrange(1, 40)):
            for fact in self.facts():
                wrong = chance.random()
                if wrong < 0.1:
                    facts.append(self.tampered(fact))
                if not 0.05 < wrong < 0.11:
                    facts.append(fact)
        if not facts:
            return []
        cuts = {0, len(facts), *(chance.randrange(len(facts)) for _ in range(len(facts) // 6))}
        return [self.journal.entry(*facts[at:to]) for at, to in pairwise(sorted(cuts))]


def said_of(entries: list[Entry]) -> SaidOfCharges:
    return SaidOfCharges(Batch(0, 1, entries[0].first_q, entries[-1].last_q, "", 0))


def in_order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(row[COLUMNS.index(column)] for column in COPIED)


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.integers(0, 2**32), st.sampled_from([1, 5, 500]))
def test_usual_charges_come_to_what_the_fold_of_every_fact_says(seed: int, step: int) -> None:
    world = World(random.Random(seed))
    for _ in range(3):
        entries = world.batch()
        if not entries:
            continue
        books, brief = world.books, copy.deepcopy(world.books)

        said, rows = said_of(entries), ChargeRows()
        read = [read_briefly(entry) for entry in entries]
        for part in posting.parts(read, step):
            for one in part:
                fold(books, one.entry)
            said.add(rows.take_final(books))
        said.add(rows.take_all(books))
        said.add_overtaken(books.overtaken)

        also_said, also_rows = said_of(entries), ChargeRows()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(posting, "FACTS_IN_A_STEP", step)
            sent = b"".join(posting._folded(brief, read, also_said, also_rows))
        for _ in also_said.digested():
            pass

        assert sorted(split_rows(sent)) == sorted(map(in_order, rows._new))
        assert sorted(also_rows.ended) == sorted(rows.ended)
        assert also_said.digest() == said.digest()
        for part in (
            "accounts", "pools", "grants", "closed", "dead", "quarantined", "movements", "applied",
            "uses", "lent", "claims", "overtaken",
        ):  # fmt: skip
            assert getattr(brief, part) == getattr(books, part), part
        assert nonzero(brief) == nonzero(books)
        world.books = posted(books)


def nonzero(books: Books) -> dict[Any, int]:
    return {line: amount for line, amount in books.lines.items() if amount}


def posted(books: Books) -> Books:
    """The books as the next batch finds them."""
    return Books(
        credit_types=books.credit_types,
        accounts=books.accounts,
        pools=books.pools,
        grants=books.grants,
        charges=books.charges,
        controls=books.controls,
        routes=books.routes,
        uses=books.uses,
    )


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.integers(0, 2**32))
def test_a_fact_that_was_read_briefly_is_the_fact(seed: int) -> None:
    world = World(random.Random(seed))
    for entry in world.batch():
        read = read_briefly(entry).facts
        whole = tuple(whole_fact(fact) if isinstance(fact, tuple) else fact for fact in read)
        assert whole == entry.facts


def test_most_charges_are_usual() -> None:
    """If the short way took nothing, the comparison above would say nothing."""
    world = World(random.Random(3))
    player = world.players[1]
    entries = [world.journal.entry(world.grant(player, 1_000))]
    for number in range(1, 11):
        held = player.hold(hold_id(number), 10, detail=DETAILS[-1])
        ended = player.settle(hold_id(number), number, detail=DETAILS[3])
        entries.append(world.journal.entry(held, ended))
    said, rows = said_of(entries), ChargeRows()
    read = [read_briefly(entry) for entry in entries]
    assert len(split_rows(b"".join(posting._folded(world.books, read, said, rows)))) == 10
    assert world.books.dead == []
    assert world.books.charges == {}
