"""Giving back what a charge took, in full or in part, never twice."""

from typing import Annotated

from pydantic import Field

from config import format_amount
from gateway.models import Amount, GivenBody
from gateway.operations.credit_types import typed_amount
from gateway.operations.desk import Desk
from gateway.operations.grants import GrantAnswer, Reference, granted
from ledger import charges
from ledger.credit_types import CreditTypeRow
from ledger.errors import AlreadyRefunded, Conflict, NotFound
from ledger.ids import parse_hold


class RefundDraft(GivenBody):
    """How much to give back, and why."""

    amount: Annotated[
        Amount | None, Field(description="Smallest units; null: all that is not refunded yet.")
    ] = None
    reason: Annotated[str, Field(max_length=1_000)] = ""
    reference: Reference = None


async def refund(desk: Desk, charge: str, draft: RefundDraft) -> GrantAnswer:
    """
    Give back a charge as a grant that lives as long as the credits would have.

    A repeated reference is answered as the first time; without one, each call is its own.
    """
    async with desk.ledger.database.connection() as connection:
        found = await charges.get(connection, charge_id(charge))
        try:
            done = await charges.refund(
                connection,
                found.id,
                amount=draft.amount,
                reference=draft.reference,
                actor=desk.actor,
                reason=draft.reason,
            )
        except AlreadyRefunded as less:
            left, captured = (format_amount(n, found.scale) for n in (less.left, less.captured))
            raise Conflict(less.code, f"{left} of {captured} is left to refund") from less
    # Only an account's charge was captured, and nothing else is refunded.
    applied = await desk.push(found.account_id or 0, done.cseq)
    return await granted(desk, done.grant_id, repeated=done.repeated, applied=applied)


async def typed_refund(desk: Desk, charge: str, text: str) -> int:
    """Read a decimal amount in the charge's credit type as smallest units."""
    async with desk.ledger.database.connection() as connection:
        found = await charges.get(connection, charge_id(charge))
    credit_type = CreditTypeRow(found.credit_type_id, found.credit_type, found.scale)
    return typed_amount(text, credit_type)


def charge_id(text: str) -> bytes:
    """
    Return a charge's id from its 24 hex characters.

    Raises:
        NotFound: They are no such id, so there is no such charge.

    """
    found = parse_hold(text)
    if found is None:
        # What was sent is not repeated: it may be a secret in the wrong place.
        raise NotFound("no such charge; its id is the Farebox-Request-Id of the call")
    return found
