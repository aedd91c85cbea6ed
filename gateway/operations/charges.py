"""Charges as consumers and admins see them: in pages, and one by one with the reason."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from gateway.models import Answer, Time
from gateway.operations.credit_types import chosen
from gateway.operations.explained import Explanation, explanation
from gateway.operations.price_book import PriceBook
from gateway.operations.refunds import charge_id
from gateway.operations.shown import Display, display
from gateway.paging import PageQuery, pack_cursor, unpack_cursor
from ledger import charges, credit_types, grants
from ledger.books import ChargeState
from ledger.database import Database
from ledger.errors import InvalidInput
from ledger.ids import account_text, grant_text, key_text, parse_hold, parse_key

State = Literal["open", "captured", "void", "expired", "late", "observed"]


class ChargeQuery(PageQuery):
    """Which charges; all that is named must fit."""

    type: Annotated[str | None, Field(description="Credit type.")] = None
    state: Annotated[State | None, Field(description="How it ended.")] = None
    route: Annotated[str | None, Field(description="Name of the route.")] = None
    key: Annotated[str | None, Field(description="Key, like key_7.")] = None
    since: Annotated[
        AwareDatetime | None, Field(alias="from", description="Begun then or later.")
    ] = None
    until: Annotated[AwareDatetime | None, Field(alias="to", description="Begun before.")] = None


class ChargeRow(Answer):
    """A charge: one priced request and its outcome."""

    id: str
    account: str | None
    key: str | None
    credit_type: str
    scale: int
    route: str | None
    path: str | None
    state: State
    reason: Annotated[str | None, Field(description="Why it ended so: a stable word.")]
    status: Annotated[int | None, Field(description="The upstream's; null: it gave none.")]
    held: Annotated[int, Field(description="The most it could cost; observed: what it would.")]
    captured: Annotated[int, Field(description="What it cost.")]
    refunded: Annotated[int, Field(description="What of that was given back later.")]
    balance_after: int | None
    price_version: int
    rule: int
    opened_at: Time
    closed_at: Time | None
    duration_ms: int | None
    record: Annotated[dict[str, Any], Field(description="What the route's `record` kept.")]
    display: Display


class ChargePage(Answer):
    """A page of charges, newest first."""

    items: list[ChargeRow]
    next: str | None


class ChargeRefund(Answer):
    """What was given back of a charge, and why."""

    grant: str
    amount: int
    reason: str
    at: Time
    display: Display


class ChargePaid(Answer):
    """What was taken from one grant."""

    grant: str
    kind: str
    description: str
    amount: int
    display: Display


class ChargeAnswer(ChargeRow):
    """A charge that explains itself."""

    uncollected: Annotated[int, Field(description="The cost above the hold, not taken.")]
    written_off: Annotated[int, Field(description="Due, but the balance was gone.")]
    deadline: Annotated[Time | None, Field(description="When an open hold comes back by itself.")]
    explanation: Explanation
    paid_from: Annotated[
        list[ChargePaid], Field(description="Which credits it took, in the order of their use.")
    ]
    refunds: Annotated[list[ChargeRefund], Field(description="In the order they were given.")]


async def listed(database: Database, query: ChargeQuery, *, account: int | None) -> ChargePage:
    """Return a page of charges, newest first; of one account unless `account` is None."""
    cursor = unpack_cursor("charges", query.cursor)
    before = None if cursor is None else parse_hold(cursor)
    key = None if query.key is None else parse_key(query.key)
    if cursor is not None and before is None:
        raise InvalidInput("cursor", "is not of this list; use `next` of the page before")
    if query.key is not None and key is None:
        raise InvalidInput("key", "must be a key's id, like key_7")
    async with database.connection() as connection:
        credit_type = None
        if query.type is not None:
            credit_type = chosen(await credit_types.every(connection), query.type, "type").id
        found = await charges.find(
            connection,
            account_id=account,
            key_id=key,
            route=query.route,
            states=[ChargeState[query.state.upper()]] if query.state else (),
            credit_type_id=credit_type,
            since=query.since,
            until=query.until,
            before=before,
            limit=query.limit,
        )
    return ChargePage(
        items=[ChargeRow(**_fields(charge)) for charge in found],
        next=pack_cursor("charges", found[-1].text_id) if len(found) == query.limit else None,
    )


async def show(
    database: Database, book: PriceBook, charge: str, *, account: int | None
) -> ChargeAnswer:
    """
    Return a charge with its explanation; only an account's own unless `account` is None.

    Raises:
        NotFound: There is none, it is not posted yet, or it is somebody else's.

    """
    async with database.connection() as connection:
        found = await charges.get(connection, charge_id(charge), account_id=account)
        prices = await book.version(connection, found.price_version)
        paid = await charges.paid_from(connection, found.id) if found.captured else []
        refunds = await grants.of_charge(connection, found.id) if found.refunded else []
    fields = _fields(found)
    fields["display"] |= display(
        found.scale, {"uncollected": found.uncollected, "written_off": found.written_off}
    )
    return ChargeAnswer(
        **fields,
        uncollected=found.uncollected,
        written_off=found.written_off,
        deadline=found.deadline,
        explanation=explanation(found, prices),
        paid_from=[_paid(one, found.scale) for one in paid],
        refunds=[_refund(one, found.scale) for one in refunds],
    )


def _paid(part: charges.Paid, scale: int) -> ChargePaid:
    return ChargePaid(
        grant=grant_text(part.grant_id),
        kind=part.kind,
        description=part.description,
        amount=part.amount,
        display=display(scale, {"amount": part.amount}),
    )


def _refund(row: grants.GrantRow, scale: int) -> ChargeRefund:
    return ChargeRefund(
        grant=grant_text(row.id),
        amount=row.amount,
        reason=row.description,
        at=row.created_at,
        display=display(scale, {"amount": row.amount}),
    )


def _fields(charge: charges.Charge) -> dict[str, Any]:
    amounts = {
        "held": charge.held,
        "captured": charge.captured,
        "refunded": charge.refunded,
        "balance_after": charge.balance_after,
    }
    return {
        **amounts,
        "id": charge.text_id,
        "account": None if charge.account_id is None else account_text(charge.account_id),
        "key": None if charge.key_id is None else key_text(charge.key_id),
        "credit_type": charge.credit_type,
        "scale": charge.scale,
        "route": charge.route,
        "path": charge.path,
        "state": charge.state.word,
        "reason": charge.reason,
        "status": charge.status or None,
        "price_version": charge.price_version,
        "rule": charge.rule,
        "opened_at": charge.opened_at,
        "closed_at": charge.closed_at,
        "duration_ms": charge.duration_ms,
        "record": charge.record,
        "display": display(charge.scale, amounts),
    }
