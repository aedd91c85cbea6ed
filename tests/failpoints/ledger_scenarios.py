"""The ledger's flows: holds and how they end, controls, posting, sweeps, epochs, recovery."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger import accounts, charges, dead_facts, findings, grants, key_caps, partitions, shards
from ledger.account_record import AccountRecord, account_field
from ledger.accounts import Status
from ledger.claims import Claim
from ledger.controls import Clawback, Grant, add
from ledger.errors import Conflict, InsufficientCredits, LedgerError
from ledger.findings import Finding
from ledger.key_caps import Cap
from ledger.ledger import Ledger
from ledger.limits import ALL_ROUTES, Limit, limits_block, window_id
from ledger.lines import load_begin_args
from ledger.loader import TOKEN_BYTES
from ledger.reasons import Reason
from ledger.snapshot import Snapshot
from ledger.sweeper import IDLE_SESSION_MS, Sweeper
from tests.failpoints.rounds import Rounds, Waiting
from tests.failpoints.run import CLOCK, BriskClock, Customer, Run, Scenario, tried, until

SOON_MS = 80
A_QUOTA = limits_block([Limit("a", ALL_ROUTES, window_id("Q", "month"), "Q", 1_000_000)])


class AheadClock(BriskClock):
    """As if it were so much later: for what is tidied up after an hour."""

    def now_us(self) -> int:
        return super().now_us() + 2 * IDLE_SESSION_MS * 1_000

    def now_ms(self) -> int:
        return self.now_us() // 1_000


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
            await ledger.holds.check(run.order(one, 1))
            await until(lambda: not ledger.settler.unsettled)

        await run.step("requests", requests)
        await run.step("settled", lambda: run.settled(ledger))
        await run.step("ready", ledger.ready)


async def requests_at_once(run: Run) -> None:
    """Several on their way, whole, in part and refused, while the journal is being posted."""
    [one, two] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def refused() -> None:
            try:
                await run.buy(ledger, two, 100_000, 1)
            except InsufficientCredits:
                return

        async def requests() -> None:
            posting = asyncio.create_task(ledger.poster.run())
            try:
                await asyncio.gather(
                    *(run.buy(ledger, one, 10 + n, n) for n in range(5)), refused()
                )
                await until(lambda: not ledger.settler.unsettled)
            finally:
                posting.cancel()
                await asyncio.gather(posting, return_exceptions=True)

        await run.step("requests", requests)
        await run.step("settled", lambda: run.settled(ledger))


async def a_long_request(run: Run) -> None:
    """Renewed while it runs, and posted with the quota that it uses."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def request() -> None:
            order = run.order(one, 10)._replace(limits=A_QUOTA)
            async with ledger.holds.hold(order) as held:
                held.renew()
                await ledger.post_all()
                run.serve(held.id, 4)
                held.capture(4, Reason.DELIVERED, status=200)

        await run.step("request", request)
        await run.step("settled", lambda: run.settled(ledger))


async def a_request_that_ends_late(run: Run) -> None:
    """Its hold, with a key, expired meanwhile; what was done is booked all the same."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def request() -> None:
            claim = Claim(one.account, secrets.token_bytes(16), bytes(16))
            order = run.order(one, 40, lifetime_ms=SOON_MS)
            order = order._replace(claim=(claim, await ledger.claims.read(claim)))
            held = await ledger.holds.open(order)
            ledger.holds._open.clear()  # none of its renewals arrived
            await ledger.post_all()
            await until(ledger.sweeper.expire_holds)
            run.serve(held.id, 30)
            held.capture(30, Reason.DELIVERED, status=200)
            await ledger.post_all()
            await until(lambda: not ledger.settler.unsettled)

        await run.step("request", request)
        await run.step("settled", lambda: run.settled(ledger))


async def an_expired_hold_of_an_unloaded_account(run: Run) -> None:
    """Nobody asks for the account in the new epoch but the sweep."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def left_behind() -> None:
            await ledger.holds.open(run.order(one, 40, lifetime_ms=SOON_MS))
            ledger.holds._open.clear()
            await ledger.post_all()

        await run.step("left behind", left_behind)
        await run.step("a new epoch", lambda: renewed(ledger))
        await run.step("expired", lambda: until(ledger.sweeper.expire_holds))
        await run.step("posted", ledger.post_all)


async def controls(run: Run) -> None:
    """Everything that Postgres orders Redis to do, in turn; each is pushed at once."""
    [one, _] = run.customers
    kind = run.stage.credit_type
    run.begin()
    async with run.ledger("command") as ledger:

        async def ordered(do: Callable[[Any], Awaitable[Any]]) -> None:
            async with ledger.database.connection() as connection:
                await do(connection)
            assert await ledger.pusher.push(one.account) == "applied"

        async def give(units: int, reference: str, **more: Any) -> None:
            await ordered(
                lambda connection: grants.give(
                    connection,
                    one.account,
                    Grant(kind, units, **more),
                    actor="test",
                    reference=reference,
                )
            )

        async def claw(units: int, source_id: str) -> None:
            async with ledger.database.transaction() as connection:
                await add(
                    connection, one.account, Clawback(kind, units), "reversal", source_id, "test"
                )
            assert await ledger.pusher.push(one.account) == "applied"

        await run.step("grant", lambda: give(50, "g1"))
        await run.step("grant again", lambda: give(50, "g1"))
        await run.step("claw-back", lambda: claw(20, f"claw {one.account}"))
        for amount in (7, -9):
            await run.step(
                f"adjust {amount}",
                lambda amount=amount: ordered(
                    lambda connection: grants.adjust(
                        connection,
                        one.account,
                        kind,
                        amount,
                        reason="why",
                        actor="test",
                        reference=f"a{amount}",
                    )
                ),
            )
        for frozen in (True, False):
            await run.step(
                f"frozen {frozen}",
                lambda frozen=frozen: ordered(
                    lambda connection: accounts.freeze(
                        connection, one.account, frozen=frozen, actor="test", reason="why"
                    )
                ),
            )
        run.put_in[one.account] += 50 - 20 + 7 - 9
        await run.step("posted", ledger.post_all)


async def debt(run: Run) -> None:
    """Of an account in no epoch more is taken back than there is; the next grant pays it."""
    [one, _] = run.customers
    kind = run.stage.credit_type
    run.begin()
    async with run.ledger("command") as ledger:

        async def take() -> None:
            async with ledger.database.transaction() as connection:
                taken = Clawback(kind, 1_500)
                source_id = f"claw {one.account}"
                await add(connection, one.account, taken, "reversal", source_id, "test")
            await ledger.pusher.poll()

        async def give() -> None:
            async with ledger.database.connection() as connection:
                grant = Grant(kind, 600)
                await grants.give(connection, one.account, grant, actor="test", reference="pays")
            await ledger.pusher.poll()

        await run.step("a new epoch", lambda: renewed(ledger))
        await run.step("taken", take)
        await run.step("posted", ledger.post_all)
        await run.step("given", give)
        run.put_in[one.account] += 600 - 1_500
        await run.step("posted again", ledger.post_all)


async def grants_for_later(run: Run) -> None:
    """One enters when its time comes, one is taken back before, and a lot ends."""
    [one, _] = run.customers
    kind = run.stage.credit_type
    run.begin()
    async with run.ledger("command") as ledger:

        async def give() -> None:
            soon = datetime.now(UTC) + timedelta(milliseconds=SOON_MS)
            later = soon + timedelta(days=1)
            async with ledger.database.connection() as connection:
                for reference, grant in (
                    ("enters", Grant(kind, 40, effective_at=soon)),
                    ("taken", Grant(kind, 30, effective_at=later)),
                    ("ends", Grant(kind, 20, expires_at=soon)),
                ):
                    try:
                        await grants.give(
                            connection, one.account, grant, actor="test", reference=reference
                        )
                    except LedgerError:
                        # Said again when its time has passed: it is there, or never will be.
                        continue
            await ledger.pusher.poll()

        async def take() -> None:
            async with ledger.database.transaction() as connection:
                [grant] = await connection.fetch(
                    "SELECT id FROM grants WHERE account_id = $1 AND reference = 'taken'",
                    one.account,
                )
                taken = Clawback(kind, 30, grant["id"])
                source_id = f"taken {one.account}"
                await add(connection, one.account, taken, "reversal", source_id, "test")

        async def enter() -> None:
            await until(lambda: of_grants(ledger, one, "enters", "state <> 'scheduled'"))

        async def end() -> None:
            await until(lambda: of_grants(ledger, one, "ends", "state = 'expired'"))

        await run.step("given", give)
        await run.step("taken", take)
        await run.step("entered", enter)
        await run.step("ended", end)
        run.put_in[one.account] += 40


async def of_grants(ledger: Ledger, customer: Customer, reference: str, what: str) -> bool:
    """Whether the account has no grant of this name of which that is not so."""
    for do in (ledger.pusher.enter_due, ledger.sweeper.expire_lots, ledger.post_all):
        if not await tried(do):
            return False
    async with ledger.database.connection() as connection:
        return not await connection.fetchval(
            "SELECT count(*) FROM grants WHERE account_id = $1 AND reference = $2"
            f" AND NOT ({what})",
            customer.account,
            reference,
        )


async def more_lots_than_places(run: Run) -> None:
    """Those that find no place wait in Postgres, and enter when one is free."""
    [one, _] = run.customers
    kind = run.stage.credit_type
    run.begin()
    async with run.ledger() as ledger:

        async def give() -> None:
            async with ledger.database.connection() as connection:
                for number in range(33):
                    grant = Grant(kind, 1, priority=50 if number else 10)
                    await grants.give(
                        connection, one.account, grant, actor="test", reference=f"lot {number}"
                    )
            await ledger.pusher.poll()

        async def spend() -> None:
            await run.buy(ledger, one, 3, 3)
            await until(lambda: not ledger.settler.unsettled)
            await ledger.post_all()
            await ledger.pusher.enter_due()

        await run.step("given", give)
        await run.step("posted", ledger.post_all)
        await run.step("spent", spend)
        run.put_in[one.account] += 33
        await run.step("settled", lambda: run.settled(ledger))


async def a_cap(run: Run) -> None:
    """Of a key that has spent already."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def cap() -> None:
            async with ledger.database.connection() as connection:
                most = Cap(1, "month", 1_000_000)
                await key_caps.put(connection, one.key, [most], actor="test")
            assert await ledger.pusher.push(one.account) == "applied"

        await run.step("request", lambda: run.buy(ledger, one, 10, 10))
        await run.step("settled", lambda: run.settled(ledger))
        await run.step("cap", cap)
        await run.step("posted", ledger.post_all)


async def a_refund(run: Run) -> None:
    """A captured charge is given back in part, then in full."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def request() -> str:
            async with ledger.holds.hold(run.order(one, 30)) as held:
                run.serve(held.id, 30)
                held.capture(30, Reason.DELIVERED, status=200)
            await run.settled(ledger)
            return held.id.hex()

        charge = bytes.fromhex(await run.step("request", request))

        async def refund(amount: int | None, reference: str) -> None:
            async with ledger.database.connection() as connection:
                await charges.refund(
                    connection, charge, amount=amount, reference=reference, actor="test"
                )
            assert await ledger.pusher.push(one.account) == "applied"

        await run.step("part", lambda: refund(10, "one"))
        await run.step("rest", lambda: refund(None, "two"))
        run.put_in[one.account] += 30
        await run.step("posted", ledger.post_all)


async def the_steward(run: Run) -> None:
    """Elected, it does all its jobs beside a gateway that serves."""
    [one, two] = run.customers
    run.begin()
    async with run.ledger() as ledger, run.ledger("steward") as its:

        async def at_work() -> None:
            steward = its.steward()
            rounds = Rounds(steward)
            working = asyncio.create_task(steward.run())
            try:
                async with ledger.database.connection() as connection:
                    grant = Grant(run.stage.credit_type, 5)
                    await grants.give(connection, two.account, grant, actor="test", reference="s")
                await run.buy(ledger, one, 10, 6)
                await until(lambda: not ledger.settler.unsettled)
                assert await ledger.settler.drain(10) == 0
                run.all_safe()
                await until(lambda: steward.elected)
                await until(lambda: tried(its._record_findings))
                await rounds.all_done()
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

        await run.step("at work", at_work)
        run.put_in[two.account] += 5


async def tidying(run: Run) -> None:
    """Marks that posting lost sight of, idle sessions, old epochs, months."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def unheard() -> None:
            """Posted by somebody who died before the ACK with the closed ids."""
            await run.buy(ledger, one, 10, 6)
            await until(lambda: not ledger.settler.unsettled)
            await ledger.poster.step()
            ledger.poster._closed.clear()
            await ledger.post_all()

        async def tidy() -> None:
            parts = ledger.database, ledger.shard, ledger.loader, ledger._reading
            await until(lambda: tried(Sweeper(*parts, CLOCK).tidy))
            await until(lambda: tried(Sweeper(*parts, AheadClock()).tidy))
            await ledger.sweeper.drop_epochs()

        async def old_months() -> None:
            # Of this life alone: what is retired is never made again.
            long_ago = datetime.now(UTC) - timedelta(days=400 + 93 * (one.account // 2))
            async with ledger.database.connection() as connection:
                await partitions.ensure(connection, long_ago, ahead=1)

        async def months() -> None:
            now = datetime.now(UTC)
            async with ledger.database.connection() as connection:
                await partitions.ensure(connection, now, ahead=5)
                await partitions.retire(connection, now, 1)
                await partitions.complete_since(connection)

        await run.step("unheard", unheard)
        await run.step("a new epoch", lambda: renewed(ledger))
        await run.step("tidied", tidy)
        await run.step("old months", old_months)
        await run.step("months", months)


async def a_restart_of_redis(run: Run) -> None:
    """It comes back as another server, with all it had: what was not posted yet is salvaged."""
    [one, two] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def unposted() -> None:
            await run.buy(ledger, one, 10, 6)
            await run.buy(ledger, two, 10, 10)
            await until(lambda: not ledger.settler.unsettled)

        async def restarted() -> None:
            async with ledger.database.connection() as connection:
                await connection.execute("UPDATE shards SET incarnation = 'the one before'")
            await ledger.poster.step()
            async with run.ledger() as other:
                await other.shard.ready()
                await run.buy(other, one, 10, 3)
                await until(lambda: not other.settler.unsettled)

        await run.step("unposted", unposted)
        await run.step("restarted", restarted)
        await run.step("settled", lambda: run.settled(ledger))


async def redis_wiped(run: Run) -> None:
    """All is gone while requests are under way; what was served is told again."""
    [one, two] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def requests() -> None:
            posted = await ledger.holds.open(run.order(one, 10))
            await ledger.post_all()
            unposted = await ledger.holds.open(run.order(two, 20))
            await run.buy(ledger, one, 5, 5)
            await until(lambda: not ledger.settler.unsettled)
            await wipe(ledger)
            for held in (posted, unposted):
                run.serve(held.id, 8)
                held.capture(8, Reason.DELIVERED, status=200)
            await until(lambda: bought(run, ledger, two))
            await until(lambda: not ledger.settler.unsettled)

        await run.step("requests", requests)
        await run.step("settled", lambda: run.settled(ledger))


async def another_history(run: Run) -> None:
    """An older copy again; who had not seen what was lost goes on from it, up to the same number."""
    [one, two] = run.customers
    run.begin()
    async with run.ledger() as ledger, run.ledger() as unaware:

        async def went_back() -> None:
            await ledger.shard.ready()
            await unaware.shard.ready()
            await ledger.post_all()
            link = await ledger._reading.link()
            names = [*ledger.shard.keys.of(ledger.shard.epoch)]
            copies = [await link.call("DUMP", name) for name in names]
            await run.buy(ledger, one, 10, 6)
            await until(lambda: not ledger.settler.unsettled)
            await ledger.post_all()
            for name, copy in zip(names, copies, strict=True):
                await link.call("UNLINK", name)
                if copy is not None:
                    await link.call("RESTORE", name, 0, copy)
            await run.buy(unaware, two, 10, 6)
            await until(lambda: not unaware.settler.unsettled)
            await tried(unaware.poster.step)  # as many facts as Postgres has, and others

        async def longer() -> None:
            await until(lambda: tried(lambda: run.buy(unaware, two, 10, 6)))
            await tried(ledger.poster.step)

        async def no_journal() -> None:
            await until(lambda: bought(run, ledger, one))
            link = await ledger._reading.link()
            await link.call("UNLINK", ledger.shard.keys.journal(ledger.shard.epoch))
            await tried(ledger.poster.step)

        await run.step("went back", went_back)
        await run.step("longer", longer)
        await run.step("no journal", no_journal)
        await run.step("theirs", lambda: run.settled(unaware))
        await run.step("settled", lambda: run.settled(ledger))


async def a_longer_history(run: Run) -> None:
    """The same, but it has more facts than Postgres when posting looks at it."""
    [one, two] = run.customers
    run.begin()
    async with run.ledger() as ledger, run.ledger() as unaware:

        async def went_back() -> None:
            await ledger.shard.ready()
            await unaware.shard.ready()
            await ledger.post_all()
            link = await ledger._reading.link()
            names = [*ledger.shard.keys.of(ledger.shard.epoch)]
            copies = [await link.call("DUMP", name) for name in names]
            await run.buy(ledger, one, 10, 6)
            await until(lambda: not ledger.settler.unsettled)
            await ledger.post_all()
            for name, copy in zip(names, copies, strict=True):
                await link.call("UNLINK", name)
                if copy is not None:
                    await link.call("RESTORE", name, 0, copy)
            for _ in range(3):
                await run.buy(unaware, two, 10, 6)
            await until(lambda: not unaware.settler.unsettled)
            await tried(ledger.poster.step)

        await run.step("went back", went_back)
        await run.step("theirs", lambda: run.settled(unaware))
        await run.step("settled", lambda: run.settled(ledger))


async def a_lot_of_an_unloaded_account(run: Run) -> None:
    """It ends in an epoch in which nobody asked for its account."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def give() -> None:
            soon = datetime.now(UTC) + timedelta(milliseconds=SOON_MS)
            async with ledger.database.connection() as connection:
                grant = Grant(run.stage.credit_type, 20, expires_at=soon)
                try:
                    await grants.give(
                        connection, one.account, grant, actor="test", reference="ends"
                    )
                except LedgerError:
                    return  # said again when its time has passed
            await ledger.pusher.poll()
            await ledger.post_all()

        await run.step("given", give)
        await run.step("a new epoch", lambda: renewed(ledger))
        await run.step("ended", lambda: until(lambda: of_grants(ledger, one, "ends", ENDED)))


ENDED = "state = 'expired'"


async def an_account_that_two_load(run: Run) -> None:
    """Another process begins to while one has read what to load, which has to read it again."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def loaded() -> None:
            read = ledger.loader._snapshot

            async def overtaken(account: int) -> Snapshot:
                ledger.loader._snapshot = read
                found = await read(account)
                token = secrets.token_bytes(TOKEN_BYTES)
                await ledger.shard.run("load_begin", load_begin_args(account, token))
                return found

            ledger.loader._snapshot = overtaken
            await ledger.loader.load(one.account)
            ledger.loader._snapshot = read

        await run.step("a new epoch", lambda: renewed(ledger))
        await run.step("loaded", lambda: until(lambda: tried(loaded)))
        await run.step("bought", lambda: run.buy(ledger, one, 4, 2))
        await run.step("settled", lambda: run.settled(ledger))


async def two_stewards(run: Run) -> None:
    """One waits for the other's post, which is lost with its connection."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger("steward") as first, run.ledger("steward") as second:

        async def at_work() -> None:
            stewards = [first.steward(), second.steward()]
            rounds = [Rounds(steward) for steward in stewards]
            elections = [steward._election for steward in stewards]
            working = []
            try:
                working.append(asyncio.create_task(stewards[0].run()))
                await until(lambda: stewards[0].elected)
                candidate = Waiting(elections[1])
                working.append(asyncio.create_task(stewards[1].run()))
                await until(lambda: candidate.waited)
                post = elections[0]._connection
                async with first.database.connection() as connection:
                    await connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                        " AND granted AND pid <> pg_backend_pid() AND database ="
                        " (SELECT oid FROM pg_database WHERE datname = current_database())"
                    )

                def next_elected() -> list[Rounds]:
                    both = zip(rounds, stewards, elections, strict=True)
                    return [
                        its
                        for its, steward, election in both
                        if steward.elected and election._connection not in (None, post)
                    ]

                await until(next_elected)
                await run.buy(first, one, 4, 2)
                await until(lambda: not first.settler.unsettled)
                await next_elected()[0].all_done()
            finally:
                for task in working:
                    task.cancel()
                await asyncio.gather(*working, return_exceptions=True)

        await run.step("at work", at_work)
        await run.step("settled", lambda: run.settled(first))


async def closing(run: Run) -> None:
    """A gateway ends in order, with settlements on their way; windows are set meanwhile."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def ended() -> None:
            async with run.ledger() as other:
                await ledger.windows.choose(
                    {run.stage.credit_type: 10_000_000}, {run.stage.credit_type}
                )
                await ledger.windows.resize()
                await run.buy(other, one, 10, 6)
                posting = asyncio.create_task(ledger.poster.run())
                await other.aclose(1.0)
                posting.cancel()
                await asyncio.gather(posting, return_exceptions=True)

        await run.step("ended", ended)
        await run.step("posted", ledger.post_all)


async def a_missing_epoch(run: Run) -> None:
    """Postgres has begun an epoch, and its maker died before Redis opened it."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def unopened() -> None:
            await ledger.shard.ready()
            async with ledger.database.connection() as connection:
                row = await shards.read(connection, 0)
                await shards.advance(connection, 0, row.epoch, row.incarnation)

        async def mended() -> None:
            await tried(ledger.poster.step)  # the steward's posting is who notices
            await until(lambda: bought(run, ledger, one))

        await run.step("unopened", unopened)
        await run.step("mended", mended)
        await run.step("posted", lambda: run.settled(ledger))


async def redis_went_back(run: Run) -> None:
    """An older copy of everything, on the same server: another history with the same numbers."""
    [one, two] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def went_back() -> None:
            await ledger.shard.ready()
            await ledger.post_all()
            link = await ledger._reading.link()
            names = [*ledger.shard.keys.of(ledger.shard.epoch)]
            copies = [await link.call("DUMP", name) for name in names]
            await run.buy(ledger, one, 10, 6)
            await until(lambda: not ledger.settler.unsettled)
            await ledger.post_all()
            for name, copy in zip(names, copies, strict=True):
                await link.call("UNLINK", name)
                if copy is not None:
                    await link.call("RESTORE", name, 0, copy)
            async with run.ledger() as other:
                for number in range(4):
                    await until(lambda: bought(run, other, two))
                    if number == 3:
                        await tried(ledger.poster.step)
                await until(lambda: not other.settler.unsettled)

        await run.step("went back", went_back)
        await run.step("settled", lambda: run.settled(ledger))


async def rebuilt(run: Run) -> None:
    """By a person, while facts wait to be posted; then one account alone."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def bought_once() -> None:
            await run.buy(ledger, one, 10, 6)
            await until(lambda: not ledger.settler.unsettled)

        async def reloaded() -> None:
            await until(lambda: bought(run, ledger, one))
            await ledger.reload(one.account, actor="test", reason="why")

        await run.step("bought", bought_once)
        await run.step("rebuilt", lambda: renewed(ledger))
        await run.step("reloaded", reloaded)
        await run.step("settled", lambda: run.settled(ledger))


async def postgres_went_back(run: Run) -> None:
    """It lost an epoch that Redis is in; a person accepts what that costs."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger("command") as ledger:

        async def back() -> None:
            await ledger.shard.ready()
            await ledger.post_all()
            async with ledger.database.connection() as connection:
                row = await connection.fetchrow("SELECT * FROM shards WHERE id = 0")
                await ledger.rebuild(actor="test", reason="to have an epoch to lose")
                await connection.execute(
                    "UPDATE shards SET epoch = $1, incarnation = $2, last_q = $3, last_chain = $4,"
                    " open_at_start = $5 WHERE id = 0",
                    *(row[name] for name in ("epoch", "incarnation", "last_q", "last_chain")),
                    row["open_at_start"],
                )

        async def looked() -> None:
            await ledger.rebuild(actor="test", reason="to see")

        async def accepted() -> None:
            done = await ledger.rebuild(actor="test", reason="accepted", lose_data=True)
            assert done.done

        await run.step("back", back)
        await run.step("looked", looked)
        await run.step("accepted", accepted)
    async with run.ledger() as ledger:
        await run.step("bought", lambda: until(lambda: bought(run, ledger, one)))
        await run.step("settled", lambda: run.settled(ledger))


async def a_poisoned_fact(run: Run) -> None:
    """It breaks a rule: kept aside, decided about, and its account released in a new epoch."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:

        async def decided() -> None:
            async with ledger.database.connection() as connection:
                for row in await dead_facts.rows(connection, account_id=one.account):
                    await dead_facts.get(connection, row.place)
                    await dead_facts.states_of(connection, [row])
                    await dead_facts.resolve(connection, row.place, actor="test", reason="seen")

        await run.step("poisoned", lambda: poison(run, ledger, one))
        await run.step("a new epoch", lambda: renewed(ledger))
        await run.step("told again", lambda: run.settled(ledger))
        await run.step("decided", decided)
        await run.step("released", lambda: released(ledger, one))
        await run.step("bought", lambda: until(lambda: bought(run, ledger, one)))
        await run.step("settled", lambda: run.settled(ledger))


async def poison(run: Run, ledger: Ledger, one: Customer) -> None:
    """Have Redis count an account's facts wrongly, until posting notices and puts it aside."""
    await ledger.post_all()
    if await _status_of(ledger, one) is Status.QUARANTINED:
        await ledger.pusher.poll()  # who died here had come so far
        return
    await run.buy(ledger, one, 10, 6)
    await run.settled(ledger)
    link = await ledger._reading.link()
    key, field = ledger.shard.keys.balances(ledger.shard.epoch), account_field(one.account)
    record = AccountRecord.unpack(await link.call("HGET", key, field))
    await link.call("HSET", key, field, replace(record, aseq=record.aseq + 7).pack())
    await run.buy(ledger, one, 10, 3)
    await until(lambda: not ledger.settler.unsettled)
    await ledger.post_all()
    await ledger.pusher.poll()
    assert await _status_of(ledger, one) is Status.QUARANTINED


async def _status_of(ledger: Ledger, customer: Customer) -> Status:
    async with ledger.database.connection() as connection:
        return (await accounts.get(connection, customer.account)).status


async def released(ledger: Ledger, customer: Customer) -> None:
    """Let an account out of its quarantine; who is asked again finds it out already."""
    async with ledger.database.connection() as connection:
        try:
            await accounts.release(connection, customer.account, actor="test", reason="decided")
        except Conflict as conflict:
            if conflict.code != "not-quarantined":
                raise
        await accounts.freeze(
            connection, customer.account, frozen=False, actor="test", reason="decided"
        )
    await until(lambda: pushed(ledger, customer))


async def pushed(ledger: Ledger, customer: Customer) -> bool:
    return await ledger.pusher.push(customer.account, limit_s=1) == "applied"


async def a_finding(run: Run) -> None:
    """One that quarantines an account, and one that halts the shard; a person settles both."""
    [one, _] = run.customers
    run.begin()
    async with run.ledger() as ledger:
        found = [
            Finding("pool-identity", one.account, "made up"),
            Finding("lines-balance", None, f"made up beside {one.account}"),
        ]

        async def recorded() -> None:
            async with ledger.database.connection() as connection:
                await findings.record(connection, found)
                assert await findings.halted(connection)
                await findings.open_by_check(connection)
            # Twice: what Redis has and Postgres does not know of is a repeat to it.
            await ledger.pusher.poll()
            await ledger.pusher.poll()
            await ledger.windows.tell()

        async def settled() -> None:
            async with ledger.database.connection() as connection:
                for row in await findings.rows(connection):
                    await findings.get(connection, row.id)
                    await findings.resolve(connection, row.id, actor="test", reason="made up")
            await ledger.windows.tell()

        await run.step("recorded", recorded)
        await run.step("settled by a person", settled)
        await run.step("a new epoch", lambda: renewed(ledger))
        await run.step("released", lambda: released(ledger, one))
        await run.step("bought", lambda: until(lambda: bought(run, ledger, one)))
        await run.step("settled", lambda: run.settled(ledger))


async def bought(run: Run, ledger: Ledger, customer: Customer) -> bool:
    """One request, if it is served just now."""
    return await tried(lambda: run.buy(ledger, customer, 4, 2))


async def wipe(ledger: Ledger) -> None:
    """Lose everything that Redis has of this shard."""
    link = await ledger._reading.link()
    await link.call("UNLINK", *ledger.shard.keys.of(ledger.shard.epoch))


async def renewed(ledger: Ledger) -> None:
    """A new epoch, by a person's wish."""
    await ledger.rebuild(actor="test", reason="why")
    await until(lambda: tried(ledger.windows.tell))


SCENARIOS: tuple[Scenario, ...] = (
    a_charge,
    requests_at_once,
    a_long_request,
    a_request_that_ends_late,
    an_expired_hold_of_an_unloaded_account,
    controls,
    debt,
    grants_for_later,
    more_lots_than_places,
    a_cap,
    a_refund,
    the_steward,
    tidying,
    a_restart_of_redis,
    redis_wiped,
    a_missing_epoch,
    another_history,
    a_longer_history,
    a_lot_of_an_unloaded_account,
    an_account_that_two_load,
    two_stewards,
    closing,
    redis_went_back,
    rebuilt,
    postgres_went_back,
    a_poisoned_fact,
    a_finding,
)
