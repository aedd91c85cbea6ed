"""`kill -9` anywhere between a delivery and the balance: each credit moves once after a restart."""

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from typing import Any

import pytest

from billing.purchases.checkout import Purchase, start
from ledger.ledger import LedgerOptions
from tests.flows.purchase_rig import EACH, Rig, selling

pytestmark = pytest.mark.anyio

POINTS = ("accepted", "claimed", "booked", "committed", "applied")
"""What the last line before the death was; see `purchase_worker.aim`."""

A_LEASE_LATER_S = 3_600.0


@pytest.fixture
def options(database_url: str, redis_url: str, namespace: str) -> LedgerOptions:
    return LedgerOptions(postgres_url=database_url, redis_url=redis_url, namespace=namespace)


async def process(
    rig: Rig, die_at: str, event: dict[str, Any] | None = None, *, ahead_s: float = 0.0
) -> int:
    """Run a worker as a process of its own; returns how it ended."""
    body, header = rig.sealed(event) if event else (b"", "")
    given = {
        "options": asdict(rig.ledger.options),
        "key": rig.world.key,
        "stripe_url": rig.world.base_url,
        "ahead_s": ahead_s,
        "body": body.decode(),
        "header": header,
        "die_at": die_at,
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.flows.purchase_worker", stdin=asyncio.subprocess.PIPE
    )
    await worker.communicate(json.dumps(given).encode())
    assert worker.returncode is not None
    return worker.returncode


async def bought(rig: Rig) -> tuple[int, str]:
    """An account and its paid session, of which nothing has been delivered."""
    account = await rig.account()
    started = await start(rig.shop, account, Purchase(package="starter"))
    rig.do("pay", session=started.session_id)
    return account, started.session_id


def last(rig: Rig, event_type: str) -> dict[str, Any]:
    return next(event for event in reversed(rig.world.heard) if event["type"] == event_type)


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_dies_over_a_purchase_grants_it_once_after_its_restart(
    options: LedgerOptions, point: str
) -> None:
    async with selling(options, seed=1) as rig:
        account, session = await bought(rig)
        event = last(rig, "checkout.session.completed")

        assert await process(rig, point, event) == -signal.SIGKILL
        assert await process(rig, "never", ahead_s=A_LEASE_LATER_S) == 0

        await rig.settled_books()
        assert await rig.standing(account) == (EACH, False)
        async with rig.ledger.database.connection() as connection:
            granted = await connection.fetch(
                "SELECT source_id FROM controls WHERE account_id = $1 AND kind = 'g'", account
            )
        assert [row["source_id"] for row in granted] == [session]


@pytest.mark.parametrize("point", ["ordered", "committed", "applied"])
async def test_a_worker_that_dies_over_a_refund_takes_its_share_once_after_its_restart(
    options: LedgerOptions, point: str
) -> None:
    async with selling(options, seed=1) as rig:
        account, session = await bought(rig)
        await rig.deliver(last(rig, "checkout.session.completed"))
        assert await process(rig, "never") == 0
        intent = rig.world.objects[session]["payment_intent"]
        rig.do("refund", payment_intent=intent, amount=333)

        assert await process(rig, point, last(rig, "refund.created")) == -signal.SIGKILL
        assert await process(rig, "never", ahead_s=A_LEASE_LATER_S) == 0

        await rig.settled_books()
        assert await rig.standing(account) == (EACH - EACH * 333 // 999, False)
