"""Giving back what a charge took, in full or in part, never twice."""

import uuid
from typing import Annotated

from pydantic import Field

from gateway.models import Amount, GivenBody
from gateway.operations.credit_types import typed_amount
from gateway.operations.desk import Desk
from gateway.operations.grants import GrantAnswer, Reference, granted
from ledger import charges
from ledger.credit_types import CreditTypeRow
from ledger.errors import NotFound
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
        done = await charges.refund(
            connection,
            found.id,
            amount=draft.amount,
            reference=draft.reference or uuid.uuid4().hex,
            actor=desk.actor,
            reason=draft.reason,
        )
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
        raise NotFound(f"no charge {text}; its id is the Farebox-Request-Id of the call")
    return found
