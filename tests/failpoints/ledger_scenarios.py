"""The ledger's flows: holds and how they end, controls, posting, sweeps, epochs, recovery."""

from tests.failpoints.run import Run, Scenario, until


async def a_charge(run: Run) -> None:
    """Held and captured, whole and in part, and given back; posted and confirmed."""
    [one, two] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def requests() -> None:
            await run.buy(ledger, one, 10, 10)
            await run.buy(ledger, two, 20, 7)
            async with ledger.holds.hold(run.order(one, 30)):
                pass
            await until(lambda: not ledger.settler.unsettled)

        await run.step("requests", requests)
        await run.step("settled", lambda: run.settled(ledger))


SCENARIOS: tuple[Scenario, ...] = (a_charge,)
