"""The admin's routes of recovery: what the commands do, over HTTP and described."""

from collections.abc import AsyncIterator

import pytest

from ledger.fact_bytes import pack_fact
from ledger.facts import HoldFact, UnreadableFact
from ledger.findings import Finding, record
from ledger.ids import hold_id
from tests.charging import Stores
from tests.control import Control, control

pytestmark = pytest.mark.anyio

WHY = {"reason": "a test"}


@pytest.fixture
async def running(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Control]:
    async with control(Stores(database_url, redis_url, namespace)) as running:
        yield running


async def bury(running: Control, account: int, q: int = 5) -> str:
    """Have a dead hold fact of an earlier epoch, and its account in quarantine."""
    fact = HoldFact(hold_id(7, 1), account, 1, 1, 40, 1, 0, 1, 9, 60, ())
    async with running.gateway.ledger.database.connection() as connection:
        await connection.execute("UPDATE accounts SET status = 3 WHERE id = $1", account)
        await connection.execute(
            "INSERT INTO dead_facts (shard, epoch, q, account_id, fact, why)"
            " VALUES (0, 0, $1, $2, $3, 'odd')",
            q,
            account,
            pack_fact(fact),
        )
    return f"0-0-{q}"


async def test_a_dead_fact_is_shown_resolved_and_its_account_released(running: Control) -> None:
    customer = await running.gateway.customer(credits=100)
    account = f"acc_{customer.account}"
    await running.posted()
    fact = await bury(running, customer.account)

    listed = (await running.admin.get("/facts", params={"account": account})).json()
    shown = (await running.admin.get(f"/facts/{fact}")).json()
    early = await running.admin.post(f"/accounts/{account}/release", json=WHY)
    resolved = await running.admin.post(f"/facts/{fact}/resolve", json=WHY)
    released = await running.admin.post(f"/accounts/{account}/release", json=WHY)
    again = await running.admin.post(f"/accounts/{account}/release", json=WHY)

    [row] = listed["items"]
    assert (row["id"], row["kind"], row["amount"], row["why"]) == (fact, "hold", 40, "odd")
    assert (row["charge"], row["charge_state"]) == (hold_id(7, 1).hex(), None)
    assert shown["content"]["price"] == 40
    assert (early.status_code, early.json()["type"].rpartition("/")[2]) == (409, "facts-unresolved")
    assert resolved.json() == {"id": fact}
    assert released.json() == {"id": account, "status": "frozen"}
    assert again.status_code == 409
    assert (await running.admin.get("/facts")).json()["items"] == []
    everything = await running.admin.get("/facts", params={"open": False})
    assert everything.json()["items"][0]["resolved_at"] is not None
    audited = (await running.admin.get("/audit")).json()["items"]
    assert {"fact.resolve", "account.release"} <= {one["action"] for one in audited}


async def test_facts_come_in_pages(running: Control) -> None:
    customer = await running.gateway.customer()
    for q in (3, 4, 5):
        await bury(running, customer.account, q)

    first = (await running.admin.get("/facts", params={"limit": 2})).json()
    rest = (await running.admin.get("/facts", params={"cursor": first["next"]})).json()

    assert [row["id"] for row in first["items"] + rest["items"]] == ["0-0-3", "0-0-4", "0-0-5"]


async def test_what_cannot_be_read_is_shown_as_bytes(running: Control) -> None:
    async with running.gateway.ledger.database.connection() as connection:
        await connection.execute(
            "INSERT INTO dead_facts (shard, epoch, q, fact, why) VALUES (0, 0, 1, $1, 'odd')",
            pack_fact(UnreadableFact(b"Z", b"Z\x02\x00hm")),
        )

    shown = (await running.admin.get("/facts/0-0-1")).json()

    assert (shown["kind"], shown["account"]) == ("unreadable", None)
    assert shown["content"]["raw"] == b"Z\x02\x00hm".hex()


@pytest.mark.parametrize("place", ["0-0-9", "nothing", "1-2", "0-1-99999999999999999999"])
async def test_a_fact_that_is_not_there(running: Control, place: str) -> None:
    assert (await running.admin.get(f"/facts/{place}")).status_code == 404
    answer = await running.admin.post(f"/facts/{place}/resolve", json=WHY)
    assert answer.status_code == 404


async def test_a_finding_is_shown(running: Control) -> None:
    async with running.gateway.ledger.database.connection() as connection:
        await record(connection, [Finding("accounts_equal", None, "odd")])
    [row] = (await running.admin.get("/findings")).json()["items"]

    shown = await running.admin.get(f"/findings/{row['id']}")

    assert shown.json() == row
    assert (await running.admin.get("/findings/99")).status_code == 404


async def test_redis_and_one_account_are_rebuilt(running: Control) -> None:
    customer = await running.gateway.customer(credits=100)
    await running.called(customer)

    one = await running.admin.post(f"/accounts/acc_{customer.account}/rebuild", json=WHY)
    whole = await running.admin.post("/rebuild", json=WHY)

    assert one.json() == {"id": f"acc_{customer.account}"}
    assert whole.json() == {"done": True, "epoch_before": 1, "epoch": 2, "lost": None}
    await running.called(customer)
    assert await running.gateway.available(customer) == 96
    assert (await running.admin.post("/rebuild", json={})).status_code == 422
