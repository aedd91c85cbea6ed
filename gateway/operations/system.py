"""How the stores and the gateways stand: shards, epochs, windows, posting, failing jobs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field

from gateway.models import Answer, Time
from gateway.operations.desk import Desk
from gateway.operations.health import GatewayRow, running
from gateway.operations.shown import Display, display
from ledger import credit_types, dead_facts, findings, shards
from ledger.credit_types import CreditTypeRow
from ledger.ledger import Ledger
from ledger.outage import OUTAGE
from ledger.records import Meta


class WindowRow(Answer):
    """How far Redis may be ahead of Postgres in one credit type, and how far it is."""

    credit_type: str
    scale: int
    used: Annotated[int | None, Field(description="Held or spent and not posted; null: unknown.")]
    window: Annotated[int, Field(description="As it is set; while halted it counts as 0.")]
    display: Display


class Posting(Answer):
    """How far Postgres follows Redis."""

    unposted_facts: Annotated[
        int | None, Field(description="Of the journal; null: Redis does not answer.")
    ]
    posted_at: Annotated[Time | None, Field(description="When a batch was last posted.")]
    lag_s: Annotated[
        float, Field(description="How old the last batch is, where something waits; else 0.")
    ]


class ShardRow(Answer):
    """One shard as Postgres has it, and (null where Redis does not answer) as Redis has it."""

    shard: int
    epoch: int
    incarnation: Annotated[str, Field(description="Which run of Redis the epoch belongs to.")]
    posted_fact: Annotated[int, Field(description="The last one of the journal in Postgres.")]
    redis_epoch: int | None
    redis_fact: int | None
    open_holds: int | None
    posting: Posting
    windows: list[WindowRow]


class FailingJob(Answer):
    """A job of this gateway's steward that failed when it last ran; it is tried again."""

    job: str
    why: str


class SystemAnswer(Answer):
    """The whole at a glance."""

    halted: Annotated[bool, Field(description="A finding keeps the shard from new holds.")]
    shards: list[ShardRow]
    findings: Annotated[dict[str, int], Field(description="Open ones, by check.")]
    dead_facts: Annotated[int, Field(description="Facts that nobody has decided about.")]
    gateways: list[GatewayRow]
    warnings: list[str]
    failing_jobs: list[FailingJob]


async def show(desk: Desk, *, failures: Mapping[str, str], now: datetime) -> SystemAnswer:
    """Look at both stores, and say what is odd; answered also while Redis is away."""
    ledger = desk.ledger
    gateways = await running(ledger)
    state = await redis_state(ledger)
    async with ledger.database.connection() as connection:
        row = await shards.read(connection, ledger.options.shard)
        posted_at = await shards.posted_at(connection, row.id)
        types = await credit_types.every(connection)
        windows = await credit_types.chosen_windows(connection)
        open_findings = await findings.open_by_check(connection)
        halted = await findings.halted(connection)
        undecided = await dead_facts.undecided(connection)
    warnings = [*gateways.warnings]
    if state is None:
        warnings.append("Redis does not answer, or has nothing of this shard yet")
    return SystemAnswer(
        halted=halted,
        shards=[
            ShardRow(
                shard=row.id,
                epoch=row.epoch,
                incarnation=row.incarnation,
                posted_fact=row.last_q,
                redis_epoch=None if state is None else state.epoch,
                redis_fact=None if state is None else state.q,
                open_holds=None if state is None else state.open_holds,
                posting=posting_of(state, posted_at, now),
                windows=[_window(each, windows, state) for each in types],
            )
        ],
        findings=open_findings,
        dead_facts=undecided,
        gateways=gateways.items,
        warnings=warnings,
        failing_jobs=[FailingJob(job=job, why=why) for job, why in sorted(failures.items())],
    )


async def types_of(desk: Desk) -> list[CreditTypeRow]:
    """Return every credit type there ever was, by number."""
    async with desk.ledger.database.connection() as connection:
        return await credit_types.every(connection)


async def redis_state(ledger: Ledger) -> Meta | None:
    """Return the shard's counters as Redis has them; None if it has none or does not answer."""
    try:
        return await ledger.state()
    except OUTAGE:
        return None


def posting_of(state: Meta | None, posted_at: datetime | None, now: datetime) -> Posting:
    """Say how far Postgres follows Redis."""
    unposted = None if state is None else state.q - state.posted_q
    waits = bool(unposted) and posted_at is not None
    lag_s = (now - posted_at).total_seconds() if waits and posted_at is not None else 0.0
    return Posting(unposted_facts=unposted, posted_at=posted_at, lag_s=round(max(0.0, lag_s), 3))


def _window(each: CreditTypeRow, windows: Mapping[int, int], state: Meta | None) -> WindowRow:
    known = {} if state is None else {one.credit_type: one for one in state.types}
    one = known.get(each.id)
    used = None if one is None else one.held - one.posted
    amounts = {"used": used, "window": windows[each.id]}
    return WindowRow(
        credit_type=each.name,
        scale=each.scale,
        used=used,
        window=windows[each.id],
        display=display(each.scale, amounts),
    )
