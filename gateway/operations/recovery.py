"""Redis rebuilt from Postgres, and accounts let out of quarantine."""

from typing import Annotated

from pydantic import Field

from gateway.models import Answer, GivenBody, LongText
from gateway.operations.accounts import Status, Why
from gateway.operations.desk import Desk
from gateway.operations.shown import Display, display
from ledger import accounts, credit_types
from ledger.credit_types import CreditTypeRow
from ledger.ids import account_text
from ledger.losses import Losses, Lost


class RebuildDraft(GivenBody):
    """Why Redis is rebuilt, and whether a loss is accepted."""

    reason: LongText
    lose_data: Annotated[
        bool,
        Field(description="Where Postgres went back: give up what only Redis knows."),
    ] = False


class LostRow(Answer):
    """What Postgres does not have of one account and credit type; from the journal, and in all."""

    account: Annotated[str | None, Field(description="None: the journal does not tell whose.")]
    credit_type: str
    charges: Annotated[int, Field(description="Ended requests, of those still in the journal.")]
    captured: Annotated[int, Field(description="What they took.")]
    granted: Annotated[int, Field(description="Put in, as far as the journal tells.")]
    taken_back: Annotated[int, Field(description="Taken back, as far as the journal tells.")]
    expired: Annotated[int, Field(description="Expired, as far as the journal tells.")]
    in_redis: Annotated[int | None, Field(description="Balance and held; none: not loaded.")]
    in_postgres: Annotated[int, Field(description="Balance and held.")]
    display: Display


class LostAnswer(Answer):
    """What only Redis knows."""

    redis_epoch: int
    redis_fact: int
    postgres_epoch: int
    postgres_fact: int
    complete: Annotated[
        bool, Field(description="The journal has every fact that Postgres does not.")
    ]
    rows: list[LostRow]


class RebuildAnswer(Answer):
    """A new epoch has begun, or (`done` false) Postgres went back and nobody accepted that."""

    done: bool
    epoch_before: int
    epoch: int
    lost: LostAnswer | None


class AccountReloaded(Answer):
    """An account was loaded anew from Postgres."""

    id: str


class AccountReleased(Answer):
    """An account is out of quarantine, and frozen until it is thawed."""

    id: str
    status: Status


async def rebuild(desk: Desk, draft: RebuildDraft) -> RebuildAnswer:
    """Begin a new epoch, into which accounts are loaded from Postgres as they are needed."""
    done = await desk.ledger.rebuild(
        actor=desk.actor, reason=draft.reason, lose_data=draft.lose_data
    )
    async with desk.ledger.database.connection() as connection:
        types = {row.id: row for row in await credit_types.every(connection)}
    lost = None if done.losses is None else _lost(done.losses, types)
    return RebuildAnswer(done=done.done, epoch_before=done.before, epoch=done.epoch, lost=lost)


async def reload(desk: Desk, account: str, why: Why) -> AccountReloaded:
    """Load one account anew from Postgres, in the running epoch."""
    async with desk.ledger.database.connection() as connection:
        found = await accounts.find(connection, account)
    await desk.ledger.reload(found.id, actor=desk.actor, reason=why.reason)
    return AccountReloaded(id=account_text(found.id))


async def release(desk: Desk, account: str, why: Why) -> AccountReleased:
    """End a quarantine: the account is frozen from now on, and may be thawed."""
    async with desk.ledger.database.connection() as connection:
        found = await accounts.find(connection, account)
        await accounts.release(connection, found.id, actor=desk.actor, reason=why.reason)
    return AccountReleased(id=account_text(found.id), status="frozen")


def _lost(losses: Losses, types: dict[int, CreditTypeRow]) -> LostAnswer:
    return LostAnswer(
        redis_epoch=losses.redis_epoch,
        redis_fact=losses.redis_q,
        postgres_epoch=losses.epoch,
        postgres_fact=losses.last_q,
        complete=losses.complete,
        rows=[
            _row(account, types.get(number), number, lost)
            for (account, number), lost in losses.rows.items()
        ],
    )


def _row(account: int, credit_type: CreditTypeRow | None, number: int, lost: Lost) -> LostRow:
    amounts = {
        "captured": lost.captured,
        "granted": lost.granted,
        "taken_back": lost.taken_back,
        "expired": lost.expired,
        "in_redis": lost.in_redis,
        "in_postgres": lost.in_postgres,
    }
    return LostRow(
        account=account_text(account) if account else None,
        credit_type=credit_type.name if credit_type else f"number {number}",
        charges=lost.charges,
        captured=lost.captured,
        granted=lost.granted,
        taken_back=lost.taken_back,
        expired=lost.expired,
        in_redis=lost.in_redis,
        in_postgres=lost.in_postgres,
        display=display(credit_type.scale if credit_type else 0, amounts),
    )
