"""
Many grants at once, from CSV or JSON, each row on its own.

A row is granted, found granted before (its reference was used for the same), or refused
with the reason; a bad row stops no other. Running the same rows again changes nothing.
"""

import asyncio
import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from gateway.models import Answer, GivenBody, Text
from gateway.operations.credit_types import chosen, typed_amount
from gateway.operations.desk import Desk
from gateway.operations.grants import GrantDraft, control_of, names_of
from gateway.reading import field_errors
from ledger import accounts, controls, credit_types, grants
from ledger.credit_types import CreditTypeRow
from ledger.database import Connection
from ledger.errors import InvalidInput, Refused
from ledger.ids import grant_text

MAX_ROWS = 5_000
"""Each row is a transaction of its own; more would outlast the patience of HTTP clients."""

PUSHES_AT_ONCE = 16
"""Accounts whose grants are brought to Redis at the same time, as the steward does."""

COLUMNS = frozenset(GrantDraft.model_fields) - {"metadata"} | {"account"}
NEEDED = ("account", "amount", "reference")


class ImportedGrant(GrantDraft):
    """One row; its reference makes a repeat harmless, so it must have one."""

    account: Text
    reference: Annotated[Text, Field(description="Unique per account.")]


class Import(GivenBody):
    """Rows to grant; amounts in smallest units."""

    rows: Annotated[list[ImportedGrant], Field(min_length=1, max_length=MAX_ROWS)]


class ImportedRow(Answer):
    """What became of a row; rows count from 1."""

    row: int
    account: str
    reference: str | None
    outcome: Literal["granted", "repeated", "refused"]
    id: str | None
    message: str


class ImportAnswer(Answer):
    """What became of all rows; `applied` false: some can be spent a little later."""

    granted: int
    repeated: int
    refused: int
    applied: bool
    rows: list[ImportedRow]


EXTRA = "extra cells"
"""Where the reader puts cells that no column is for."""

Row = ImportedGrant | tuple[str, str]
"""A row that can be tried, or its account and what is wrong with it."""


async def from_csv(desk: Desk, raw: bytes) -> ImportAnswer:
    """
    Grant the rows of a CSV file with a header line; amounts as decimal text.

    Raises:
        InvalidInput: It is no such file; nothing was granted.

    """
    lines = csv_lines(raw)
    async with desk.ledger.database.connection() as connection:
        every = await credit_types.every(connection)
    return await from_rows(desk, [csv_row(line, every) for line in lines])


async def from_rows(desk: Desk, rows: Sequence[Row]) -> ImportAnswer:
    """Grant each row, then bring all of them to Redis."""
    told: list[ImportedRow] = []
    touched: set[int] = set()
    async with desk.ledger.database.connection() as connection:
        every = await credit_types.every(connection)
        for number, row in enumerate(rows, 1):
            if isinstance(row, tuple):
                account, why = row
                told.append(_told(number, account, None, "refused", message=why))
                continue
            try:
                owner, added = await _give(desk, connection, row, every)
            except Refused as refused:
                why = str(refused)
                told.append(_told(number, row.account, row.reference, "refused", message=why))
                continue
            touched.add(owner)
            outcome: Literal["granted", "repeated"] = "repeated" if added.repeated else "granted"
            told.append(
                _told(
                    number,
                    row.account,
                    row.reference,
                    outcome,
                    grant=grant_text(added.object_id),
                )
            )
    counts = {
        word: sum(row.outcome == word for row in told)
        for word in ("granted", "repeated", "refused")
    }
    return ImportAnswer(**counts, applied=await _pushed(desk, touched), rows=told)


def csv_lines(raw: bytes) -> list[dict[str, str]]:
    """
    Read the lines of a CSV file as its header names them; empty cells are left out.

    Raises:
        InvalidInput: Not UTF-8, no or a wrong header, a line with too many cells, or too
            many lines.

    """
    try:
        reader = csv.DictReader(
            io.StringIO(raw.decode("utf-8-sig"), newline=""), restkey=EXTRA, strict=True
        )
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        lines = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("file", f"cannot be read as CSV in UTF-8: {error}") from None
    missing = [name for name in NEEDED if name not in names]
    unknown = sorted(set(names) - COLUMNS)
    if missing or unknown or len(set(names)) < len(names):
        raise InvalidInput(
            "file",
            "its first line must name the columns account, amount, reference and, if wanted, "
            + ", ".join(sorted(COLUMNS - set(NEEDED))),
        )
    if not 1 <= len(lines) <= MAX_ROWS:
        raise InvalidInput("file", f"1 to {MAX_ROWS} rows, please; it has {len(lines)}")
    return [_filled(line) for line in lines]


def csv_row(line: dict[str, str], every: list[CreditTypeRow]) -> Row:
    """Read one line of text as a grant, or say what is wrong with it."""
    account = line.get("account", "")
    if EXTRA in line:
        return account, "has more cells than the first line has columns"
    try:
        credit_type = chosen(every, line.get("credit_type"))
        values: dict[str, Any] = {**line, "credit_type": credit_type.name}
        if "amount" in line:
            values["amount"] = typed_amount(line["amount"], credit_type)
        if "routes" in line:
            values["routes"] = names_of(line["routes"])
        # Not strictly: in CSV everything is text.
        return ImportedGrant.model_validate(values, strict=False)
    except InvalidInput as wrong:
        return account, str(wrong)
    except ValidationError as error:
        return account, "; ".join(f"{field}: {message}" for field, message in field_errors(error))


def _filled(line: dict[str, Any]) -> dict[str, str]:
    """Leave out empty cells, so that defaults count; keep that there were too many."""
    return {
        name: cell.strip() if isinstance(cell, str) else EXTRA
        for name, cell in line.items()
        if cell and (not isinstance(cell, str) or cell.strip())
    }


async def _give(
    desk: Desk, connection: Connection, row: ImportedGrant, every: list[CreditTypeRow]
) -> tuple[int, controls.Added]:
    owner = await accounts.find(connection, row.account)
    grant = control_of(row, chosen(every, row.credit_type).id)
    added = await grants.give(
        connection, owner.id, grant, actor=desk.actor, reference=row.reference
    )
    return owner.id, added


async def _pushed(desk: Desk, touched: set[int]) -> bool:
    room = asyncio.Semaphore(PUSHES_AT_ONCE)

    async def push(account: int) -> bool:
        async with room:
            return await desk.ledger.pusher.push(account) == "applied"

    return all(await asyncio.gather(*(push(account) for account in touched)))


def _told(
    number: int,
    account: str,
    reference: str | None,
    outcome: Literal["granted", "repeated", "refused"],
    *,
    grant: str | None = None,
    message: str = "",
) -> ImportedRow:
    return ImportedRow(
        row=number, account=account, reference=reference, outcome=outcome, id=grant, message=message
    )
