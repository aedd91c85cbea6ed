"""
Whatever happens in whatever order: once it is quiet, the ledger is what Stripe's state says.

FAREBOX_PURCHASE_CASES sizes it; a failure names the seed of its case.
"""

import gc
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from billing.reconciling import reconciler
from ledger.ledger import LedgerOptions
from tests.flows.purchase_chaos import Case
from tests.flows.purchase_rig import selling

pytestmark = pytest.mark.anyio

CASES = int(os.environ.get("FAREBOX_PURCHASE_CASES", "30"))
FIRST_SEED = int(os.environ.get("FAREBOX_PURCHASE_SEED", "1"))
TOGETHER = 15
"""Cases on one database and one stand-in, whose lists grow with every case."""

AUDITED_LATER_S = 7_200.0


@pytest.fixture(autouse=True)
def classes_of_the_sdk_are_kept() -> Iterator[None]:
    """There are thousands, and looking through them for garbage is a sixth of the time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


STARTS = range(FIRST_SEED, FIRST_SEED + CASES, TOGETHER)


@pytest.mark.parametrize("first", STARTS)
async def test_after_quiescence_the_ledger_is_what_stripe_says(
    database_url: str, redis_url: str, namespace: str, first: int
) -> None:
    options = LedgerOptions(postgres_url=database_url, redis_url=redis_url, namespace=namespace)
    begun = datetime.now(UTC)
    async with selling(options, seed=first) as rig:
        played = []
        for seed in range(first, min(first + TOGETHER, FIRST_SEED + CASES)):
            case = Case(rig, seed)
            try:
                await case.run()
            except BaseException as error:
                error.add_note(f"seed {seed}\n" + "\n".join(case.log))
                raise
            played.append(case)
        await rig.settled_books()
        for case in played:
            for account in case.accounts:
                standing = await rig.standing(account)
                assert standing == (case.balance(account), case.frozen(account)), case.seed
        # What the product compares every day says the same.
        await rig.pass_time(AUDITED_LATER_S)
        [audit] = await reconciler.run(rig.shop, ["audit"], since=begun)
        assert (audit.complete, audit.outcomes) == (True, {}), audit.notes
