"""What posting digests of charges is what Postgres digests of their rows."""

import random
from typing import Any, NamedTuple

import pytest

from ledger.books import Books, ChargeBook, ChargeState, Overtaken
from ledger.books_store import ChargeRows, insert_charges
from ledger.charge_digest import SaidOfCharges
from ledger.facts import MAX_AMOUNT, NEVER, Allocated
from ledger.seals import ChargesDigest, digest_charges
from tests.ledger.bank import Bank
from tests.ledger.journal import NOON_MS, hold_id

pytestmark = pytest.mark.anyio

CHARGES = 150
TEXTS = (
    "", "plain", "None", '"quoted" \\ back', "tab\tline\nfeed\rform\fbell\b", "\x01\x1f\x7f\x80\u2028",
    "Ü ß 漢字 \U0001f600", "null", "</script>", "{'a': None}",
)  # fmt: skip
NAMES = ("", "b", "a", "None", "ab", "é", "aé", "zz", "日", "name with spaces", '"', "\n")


class Place(NamedTuple):
    shard: int
    epoch: int
    q_from: int
    q_to: int


def a_charge(chance: random.Random, number: bytes) -> ChargeBook:
    """A charge with anything in it that its columns take; in the batch, before it or behind it."""

    def maybe(value: object) -> Any:
        return chance.choice((None, value))

    state = chance.choice(list(ChargeState))
    held = chance.choice((0, 1, chance.randrange(MAX_AMOUNT), MAX_AMOUNT))
    charge = ChargeBook(
        number,
        maybe(chance.randrange(1, 2**56)),
        maybe(chance.randrange(1, 2**56)),
        chance.randrange(1, 256),
        held,
        state,
        chance.randrange(2**31),
        chance.randrange(2**15),
        chance.choice((2, 3, 3, 3)),
        chance.randrange(900, 2_100),
        opened_aseq=maybe(chance.randrange(2**40)),
        balance_after=maybe(chance.randrange(-(2**62), 2**62)),
        plan=maybe(chance.choice(TEXTS)),
        units=maybe([chance.randrange(2**60) for _ in range(chance.randrange(3))]),
        note=maybe(chance.choice(TEXTS)),
        new=True,
    )
    if state is ChargeState.OPEN:
        charge.deadline_ms = NEVER
        return charge
    charge.closed_epoch, charge.closed_q = chance.choice((3, 3, 4)), chance.randrange(900, 2_100)
    charge.closed_aseq, charge.balance_after = chance.randrange(2**40), -held
    charge.closed_ms = chance.choice((0, NOON_MS + chance.randrange(10**9), 253_402_300_799_000))
    if state in (ChargeState.CAPTURED, ChargeState.LATE):
        charge.captured = chance.randrange(held + 1)
    charge.reason, charge.status = maybe(chance.randrange(256)), maybe(chance.randrange(2**15))
    charge.written_off, charge.uncollected = maybe(1 + held), maybe(MAX_AMOUNT)
    charge.duration_ms = maybe(2**31 - 1)
    charge.measured = maybe([maybe(chance.randrange(2**53)) for _ in range(chance.randrange(4))])
    charge.record = maybe(
        {name: chance.choice((True, -(2**63), *TEXTS)) for name in chance.sample(NAMES, 5)}
    )
    charge.allocation = tuple(
        Allocated(chance.randrange(2**40), chance.randrange(256), NEVER, chance.randrange(2**48))
        for _ in range(chance.randrange(3))
    )
    return charge


@pytest.mark.parametrize("seed", range(6))
async def test_postgres_digests_the_same_of_any_charges(bank: Bank, seed: int) -> None:
    chance = random.Random(seed)
    account = await bank.account()
    batch = Place(0, 3, 1_000, 1_999)
    drawn = (a_charge(chance, hold_id(number)) for number in range(CHARGES))
    books = Books(charges={charge.id: charge for charge in drawn})
    books.overtaken = [
        Overtaken(charge.id, account.id, chance.choice((2, 3)), chance.randrange(900, 2_100), 7, -3)
        for charge in books.charges.values()
        if charge.state is ChargeState.LATE
    ]
    said, rows = SaidOfCharges(batch), ChargeRows()
    said.add(rows.take_all(books))
    said.add_overtaken(books.overtaken)
    async with bank.database.connection() as connection:
        await insert_charges(connection, iter([rows.take_new()]))
        await connection.executemany(
            "INSERT INTO overtaken_endings (charge_id, account_id, epoch, q, aseq, balance_after)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            books.overtaken,
        )
        found = await digest_charges(connection, [batch], bytes(12), b"\xff" * 12)
    assert said.digest() == found[batch.q_from]


async def test_a_batch_that_says_nothing_of_charges_has_the_digest_of_nothing(bank: Bank) -> None:
    batch = Place(0, 3, 1_000, 1_999)
    async with bank.database.connection() as connection:
        found = await digest_charges(connection, [batch], bytes(12), b"\xff" * 12)
    assert SaidOfCharges(batch).digest() == found[batch.q_from] == ChargesDigest()
