"""The ledger's flows with credits for some routes: given, learned of, used, refunded, used late."""

from ledger import charges, grants
from ledger.controls import Grant, add
from ledger.reasons import Reason
from tests.failpoints.run import Run, Scenario, until

SOON_MS = 80
ROUTE = "all"
"""The one route of the stage."""


async def credits_for_some_routes(run: Run) -> None:
    """A gateway meets limits that it does not know: with a hold, and with work booked late."""
    [one, _] = run.customers
    kind = run.stage.credit_type
    run.begin()
    async with run.ledger() as ledger:

        async def give() -> None:
            grant = Grant(kind, 20, routes=[ROUTE])
            async with ledger.database.connection() as connection:
                await grants.give(connection, one.account, grant, actor="test", reference="some")
            assert await ledger.pusher.push(one.account) == "applied"

        async def limit_anew(which: str) -> None:
            """To routes that no grant was limited to before."""
            grant = Grant(kind, 20, routes=[ROUTE, f"{which} of {one.account}"])
            async with ledger.database.transaction() as connection:
                name = f"{which} {one.account}"
                await add(connection, one.account, grant, "limited", name, "test")
            assert await ledger.pusher.push(one.account) == "applied"

        async def request() -> str:
            order = run.order(one, 30)._replace(route=ROUTE)
            async with ledger.holds.hold(order) as held:
                run.serve(held.id, 30)
                held.capture(30, Reason.DELIVERED, status=200)
            await run.settled(ledger)
            return held.id.hex()

        async def late_request() -> None:
            order = run.order(one, 40, lifetime_ms=SOON_MS)._replace(route=ROUTE)
            held = await ledger.holds.open(order)
            ledger.holds._open.clear()  # none of its renewals arrived
            await ledger.post_all()
            await until(ledger.sweeper.expire_holds)
            await limit_anew("late")
            run.serve(held.id, 30)
            held.capture(30, Reason.DELIVERED, status=200)
            await ledger.post_all()
            await until(lambda: not ledger.settler.unsettled)

        async def refund() -> None:
            async with ledger.database.connection() as connection:
                await charges.refund(
                    connection, charge, amount=None, reference="all of it", actor="test"
                )
            assert await ledger.pusher.push(one.account) == "applied"

        await run.step("given", give)
        await run.step("limited anew", lambda: limit_anew("soon"))
        charge = bytes.fromhex(await run.step("request", request))
        await run.step("refund", refund)
        await run.step("late request", late_request)
        await run.step("settled", lambda: run.settled(ledger))
        run.put_in[one.account] += 20 + 20 + 20 + 30


SCENARIOS: tuple[Scenario, ...] = (credits_for_some_routes,)
