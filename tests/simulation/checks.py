"""What must be true of a world: at rest, from both stores and from what was served."""

from collections import Counter
from typing import Any

from ledger.account_record import account_field
from ledger.accounts import Status
from ledger.allocation import read_allocation
from ledger.books import ChargeState
from ledger.limits import ALL_ROUTES, Whose, read_tallies, tally_field, window_number
from tests.simulation.world import ALLOWANCE, CREDITS, KEYS, PAID, QUOTA, ROAD, World


def quiet(world: World) -> str | None:
    """Return what is still under way; None when nothing is."""
    rows, shard = world.postgres.tables, world.postgres.tables["shards"][0]
    if world.corrupted:
        return "Redis has an account that it should not have"
    if world.under_way:
        return f"{world.under_way} orders"
    for member in world.members:
        if member.busy:
            return f"{member.name} is busy"
    meta = world.master.meta()
    if meta is None or (meta.epoch, meta.frozen) != (shard["epoch"], False):
        return "the epoch is not open"
    if not meta.q == shard["last_q"] == meta.posted_q:
        return f"facts {meta.q}, posted {shard['last_q']}, acknowledged {meta.posted_q}"
    if any(row["state"] == ChargeState.OPEN for row in rows["charges"].values()):
        return "a hold is open"
    if any(row["status"] == Status.QUARANTINED for row in rows["accounts"].values()):
        return "an account is quarantined"
    if any(row["cseq_applied"] != row["cseq_head"] for row in rows["accounts"].values()):
        return "a control is not applied"
    for grant in rows["grants"].values():
        if grant["state"] in ("pending", "scheduled", "queued"):
            return f"grant {grant['id']} is {grant['state']}"
        if grant["remaining"] and grant["expires_ms"] <= world.postgres.now_ms:
            return f"lot {grant['id']} should have expired"
    return None


def check(world: World) -> None:
    """Tell the world what is wrong with it, once it is quiet."""
    _books(world)
    _collected(world)
    meta = world.master.meta()
    if meta is not None:
        for of_type in meta.types:
            if not of_type.held == of_type.returned == of_type.posted:
                world.wrong(f"the window leaks: {of_type}")
        kept = world.master.store.data.get(KEYS.balances(meta.epoch).encode(), {})
        in_flight = read_tallies(kept.get(tally_field("e", 0), b""))
        if any(tally.value for tally in in_flight.values()):
            world.wrong(f"in flight for ever: {in_flight}")
        _uses(world, kept)


def _books(world: World) -> None:
    """Postgres adds up, nothing is poison, every order took place exactly once."""
    rows = world.postgres.tables
    for dead in rows["dead_facts"].values():
        world.stats["dead_facts"] += 1
        if not world.poisoned or dead["resolved_at"] is None:
            world.wrong(f"dead fact {dead['epoch']}-{dead['q']}: {dead['why']}")
    for account in rows["accounts"].values():
        if account["status"] == Status.QUARANTINED:
            world.wrong(f"account {account['id']} is quarantined")
    for found in rows["findings"].values():
        world.stats["findings"] += 1
        if found["effect"] == "shard" or (found["effect"] is not None and not world.poisoned):
            world.wrong(f"a false alarm: {found['check_name']}: {found['detail']}")
    lines = Counter[tuple[int, int, int]]()
    for line in rows["batch_lines"].values():
        lines[line["epoch"], line["q_from"], line["credit_type_id"]] += line["amount"]
    for batch, amount in lines.items():
        if amount:
            world.wrong(f"the lines of batch {batch} sum to {amount}")
    for number in rows["accounts"]:
        given = sum(
            grant["amount"]
            for grant in rows["grants"].values()
            if grant["account_id"] == number and grant["kind"] != "refund"
        )
        sold = sum(amount for account, amount in world.sold.values() if account == number)
        if given != sold:
            world.wrong(f"account {number} was given {given}, {sold} were sold to it")
    for number in rows["accounts"]:
        if (pool := rows["pools"].get((number, CREDITS))) is not None:
            _pool(world, number, pool)


def _uses(world: World, kept: dict[bytes, bytes]) -> None:
    """Quotas and allowances: Postgres has what Redis counts, and counts what was delivered."""
    if world.poisoned:
        return
    rows, now = world.postgres.tables, world.postgres.now_ms
    limits: tuple[tuple[Whose, bytes, bytes], ...] = (
        ("a", ALL_ROUTES, QUOTA),
        ("k", ROAD, ALLOWANCE),
    )
    for account in rows["accounts"]:
        delivered = sum(
            row["state"] == ChargeState.CAPTURED
            for hold, row in rows["charges"].items()
            if row["account_id"] == account and hold in world.limited
        )
        for whose, route, limit in limits:
            row = rows["limit_uses"].get((whose, account, route, limit), {"window_number": -1})
            posted = row["used"] if row["window_number"] == window_number(limit, now) else 0
            world.stats["uses"] += posted
            if whose == "a" and posted != delivered and not world.setbacks:
                world.wrong(f"account {account} used {posted} of its quota, {delivered} delivered")
            if account_field(account) not in kept:
                continue
            tally = read_tallies(kept.get(tally_field(whose, account, route), b"")).get(limit)
            counted = tally.value if tally else 0
            if counted != posted:
                world.wrong(f"account {account}: {counted} used in Redis, {posted} in Postgres")


def _within_reach(world: World, account: int, charges: list[dict[str, Any]]) -> None:
    """What is limited to some routes paid for no other, by the books and in both stores alike."""
    rows = world.postgres.tables
    for charge in charges:
        route = rows["price_rules"][1, charge["rule"]]["route"]
        for part in read_allocation(charge["allocation"]):
            reach = rows["grants"][part.lot]["reach_id"]
            if reach is None:
                continue
            world.stats["limited"] += 1
            if route not in rows["grant_reaches"][reach]["routes"]:
                world.wrong(f"account {account}: lot {part.lot} paid for {route}")


def _pool(world: World, account: int, pool: dict[str, Any]) -> None:
    rows = world.postgres.tables
    grants = [row for row in rows["grants"].values() if row["account_id"] == account]
    charges = [row for row in rows["charges"].values() if row["account_id"] == account]
    ordered = [row for row in rows["controls"].values() if row["account_id"] == account]
    moves = [row for row in rows["movements"].values() if row["account_id"] == account]
    numbers = Counter(row["cseq"] for row in moves if row["cseq"] is not None)
    if twice := [number for number, times in numbers.items() if times > 1]:
        world.wrong(f"account {account}: controls {twice} moved a balance more than once")
    _within_reach(world, account, charges)
    if pool["debt"] > pool["clawed"]:
        world.wrong(f"account {account} owes {pool['debt']}, {pool['clawed']} were clawed back")
    for name, ours, theirs in (
        ("balance", pool["granted"] + pool["refunded"],
         pool["captured"] + pool["remaining"] + pool["held"] + pool["expired"] + pool["clawed"]
         - pool["debt"]),
        ("granted", pool["granted"] + pool["refunded"],
         sum(row["amount"] for row in ordered if row["kind"] in "ge")),
        ("clawed", pool["clawed"], sum(row["amount"] for row in ordered if row["kind"] == "w")),
        ("captured", pool["captured"], sum(row["captured"] for row in charges)),
        ("written off", pool["written_off"], sum(row["written_off"] or 0 for row in charges)),
        ("remaining", pool["remaining"], sum(row["remaining"] for row in grants)),
        ("held", pool["held"], sum(row["held"] for row in grants)),
        ("expired", pool["expired"], sum(row["expired"] for row in grants)),
    ):  # fmt: skip
        if ours != theirs:
            world.wrong(f"account {account}: {name} is {ours}, but it should be {theirs}")


def _collected(world: World) -> None:
    """Collected is never more than served, and less only where a gateway died with it."""
    rows, lost = world.postgres.tables["charges"], Counter[int]()
    # Told to the gateways as done, then lost by Postgres and, with the journal, by Redis too.
    forgotten = {hold for back in world.setbacks if back.final for hold in back.endings}
    told_again = {hold for back in world.setbacks for hold in back.endings}
    dead = {bytes(row["fact"][3:15]) for row in world.postgres.tables["dead_facts"].values()}
    for hold, row in rows.items():
        if row["captured"] and hold not in world.served:
            world.wrong(f"{row['captured']} were captured for {world.short(hold)}, never served")
    for hold, served in world.served.items():
        row = rows.get(hold)
        paid = (
            row["captured"] + (row["written_off"] or 0)
            if row is not None and row["state"] in PAID
            else 0
        )
        if row is not None and paid:
            world.stats["units_written_off"] += row["written_off"] or 0
            world.stats["late"] += row["state"] == ChargeState.LATE
        world.stats["units_served"] += served.cost
        missing = served.cost - paid
        name = f"{world.short(hold)} of {served.gateway.name}"
        if missing < 0:
            world.wrong(f"{paid} were captured for {name}, {served.cost} served")
        elif missing and hold in forgotten:
            world.stats["units_lost_with_postgres"] += missing
        elif missing and hold in dead and (served.fate == "kept" or hold in told_again):
            world.stats["units_left_to_a_person"] += missing
        elif missing and served.fate in ("open", "confirmed"):
            world.stats["units_lost_alive"] += missing
            world.wrong(f"{missing} of {served.cost} served by {name} ({served.fate}) are lost")
        elif missing and served.fate == "kept":
            lost[served.booked_in] += missing
            world.stats["units_lost_in_double_faults"] += missing
        elif missing:
            world.stats["units_lost_in_flight"] += missing
    epoch = rows_epoch(world)
    world.stats["epochs"] = epoch
    for lost_in, units in lost.items():
        histories = world.divergences[lost_in]
        allowed = world.plan.window * max(histories, 1)
        if units > world.stats["worst_double_fault"]:
            world.stats["worst_double_fault"], world.stats["worst_allowed"] = units, allowed
        if lost_in == epoch and not histories:
            world.wrong(f"{units} booked in epoch {lost_in} are lost, which lost nothing")
        if units > allowed:
            world.wrong(
                f"{units} booked in epoch {lost_in} are lost, at most {world.plan.window} "
                f"may be, {histories} times"
            )


def rows_epoch(world: World) -> int:
    """The epoch that Postgres follows."""
    epoch: int = world.postgres.tables["shards"][0]["epoch"]
    return epoch
