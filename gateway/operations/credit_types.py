"""The credit type an operation is about, and amounts as people write them."""

from config import parse_amount
from gateway.operations.desk import Desk
from ledger import credit_types
from ledger.credit_types import CreditTypeRow
from ledger.errors import InvalidInput


async def credit_type_of(desk: Desk, name: str | None) -> CreditTypeRow:
    """
    Return the type of that name; without a name, the only one there is.

    Raises:
        InvalidInput: There is no such type, or there are several and none is named.

    """
    async with desk.ledger.database.connection() as connection:
        every = await credit_types.every(connection)
    return chosen(every, name)


def chosen(
    every: list[CreditTypeRow], name: str | None, field: str = "credit_type"
) -> CreditTypeRow:
    """Return the type of that name from `every`; without a name, the only one."""
    names = ", ".join(row.name for row in every)
    if not every:
        raise InvalidInput(field, "there is none yet: start farebox serve once")
    if name is None and len(every) == 1:
        return every[0]
    found = next((row for row in every if row.name == name), None)
    if found is None:
        raise InvalidInput(field, f"must be one of {names}")
    return found


def typed_amount(text: str, credit_type: CreditTypeRow) -> int:
    """
    Read decimal text, like 12.50, as smallest units of the type.

    Raises:
        InvalidInput: It is no such text, or has more decimals than the type.

    """
    try:
        return parse_amount(text, credit_type.scale)
    except ValueError as error:
        raise InvalidInput("amount", str(error)) from None
