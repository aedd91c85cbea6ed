"""
The operator: does what the runbook says about quarantined accounts and a Postgres that went back.

A world in which nobody does this stays halted, which is right and proves nothing.
"""

from ledger import accounts, controls, dead_facts
from ledger.errors import LedgerError, PostgresBehind
from ledger.outage import OUTAGE
from tests.simulation.world import Member, World

LOOK_S = 0.5
WHY = "as the runbook says"


async def follow(world: World, member: Member) -> None:
    """Look again and again whether a person is needed, for as long as the world lasts."""
    member.ledger = world.new_ledger(member)
    while True:
        await member.clock.sleep(LOOK_S)
        try:
            await _look(world, member)
        except (LedgerError, *OUTAGE) as error:
            world.say(f"cannot help yet: {error}")


async def _look(world: World, member: Member) -> None:
    ledger = member.ledger
    if ledger is None:
        return
    async with ledger.database.connection() as connection:
        dead = await dead_facts.rows(connection)
    suspects = {
        row["id"]
        for row in world.postgres.tables["accounts"].values()
        if row["status"] == accounts.Status.QUARANTINED
    }
    behind = await _postgres_is_behind(member)
    # What is wrong in Redis and never was used shows only in its reconciliation with Postgres.
    cleansing = world.healed and world.corrupted
    if not (dead or suspects or behind or cleansing):
        return
    for fact in dead:
        async with ledger.database.connection() as connection:
            await dead_facts.resolve(connection, fact.place, actor="operator", reason=WHY)
        world.say(f"settles fact {fact.place.text}: {fact.why}")
    told = await ledger.rebuild(actor="operator", reason=WHY)
    if not told.done:
        if not any(setback.final for setback in world.setbacks):
            world.wrong("a person is asked, although the journal has all that Postgres lost")
        world.gives_up()
        told = await ledger.rebuild(actor="operator", reason=WHY, lose_data=True)
    if cleansing:
        world.corrupted = False
    world.stats["rebuilt"] += 1
    world.say(f"begins epoch {told.epoch}")
    for account in sorted(suspects):
        await _release(world, member, account)


async def _postgres_is_behind(member: Member) -> bool:
    ledger = member.ledger
    assert ledger is not None
    try:
        await ledger._new_fence().mend(await ledger._reading.link())
    except PostgresBehind:
        return True
    return False


async def _release(world: World, member: Member, account: int) -> None:
    ledger = member.ledger
    assert ledger is not None
    async with ledger.database.transaction() as connection:
        await accounts.release(connection, account, actor="operator", reason=WHY)
        thaw = controls.Freeze(frozen=False)
        await controls.add(connection, account, thaw, "operator", world.next_name("thaw"), "o")
    world.stats["released"] += 1
    world.say(f"releases account {account}")
