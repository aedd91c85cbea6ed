"""Versions of the price file: looked at, checked before they are live, gone back to."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from config import PriceFileError, PriceList, load_price_list
from gateway import publishing
from gateway.models import Answer, Given, Time
from gateway.operations.desk import Desk
from gateway.operations.price_changes import not_a_price_file
from gateway.paging import PageQuery, pack_cursor, unpack_number
from gateway.publishing import FilePlace
from ledger import price_versions
from ledger.errors import NotFound


class VersionRow(Answer):
    """A version of the price file that was live."""

    version: int
    sha256: str
    source: Literal["file", "rollback", "admin"]
    actor: str
    published_at: Time
    home: Annotated[
        Literal["file", "database"], Field(description="Where its text says that prices live.")
    ]


class VersionPage(Answer):
    """A page of versions, newest first."""

    items: list[VersionRow]
    next: str | None


class VersionText(VersionRow):
    """A version with its text, as it was written."""

    text: str


class Expected(Given):
    """Which version a change is to follow, so that two editors do not overwrite each other."""

    expected: Annotated[
        int | None,
        Field(ge=0, description="The version in force, 0 for none; or send it as If-Match."),
    ] = None


class VersionPublished(VersionRow):
    """The version that is in force now, and what was done for it."""

    repeated: Annotated[bool, Field(description="It was in force already.")]
    file: Annotated[str | None, Field(description="The price file that has it; null: none was.")]


class PriceProblem(Answer):
    """What is wrong with a price text, and where."""

    line: int
    column: int
    message: str
    hint: str


class Refusal(Answer):
    """The last text that was refused; no problems: none since the newest version."""

    gateway: str | None
    at: Time | None
    problems: list[PriceProblem]
    summary: str


class PriceCheck(Answer):
    """Whether a text could become the next version."""

    good: bool
    problems: list[PriceProblem]


async def listed(desk: Desk, query: PageQuery) -> VersionPage:
    """Return a page of versions, newest first."""
    before = unpack_number("versions", query.cursor)
    async with desk.ledger.database.connection() as connection:
        rows = await price_versions.versions(connection, before=before, limit=query.limit)
    return VersionPage(
        items=[VersionRow(**_fields(row)) for row in rows],
        next=pack_cursor("versions", rows[-1].version) if len(rows) == query.limit else None,
    )


async def show(desk: Desk, version: int | None) -> VersionText:
    """Return a version with its text; None is the one in force."""
    async with desk.ledger.database.connection() as connection:
        if version is None:
            row = await price_versions.current(connection)
            if row is None:
                raise NotFound("there is no price version yet: farebox serve publishes the first")
        else:
            row = await price_versions.get(connection, version)
        text = await price_versions.text_of(connection, row.version)
    return VersionText(**_fields(row), text=text)


async def publish(
    desk: Desk,
    text: str,
    *,
    environ: Mapping[str, str],
    expected: int | None,
    place: FilePlace | None,
) -> VersionPublished:
    """
    Make a text the newest version, and write it into the price file if prices live there.

    Args:
        desk: Where, and in whose name.
        text: As it is to be kept.
        environ: What `${NAME}` in it may name: it is checked as the gateways will read it.
        expected: The version that it is to follow, 0 for none; None: any.
        place: The price file; None where it is not known.

    Raises:
        Problem: `invalid-input`: it is not a price file.
        Conflict: See `gateway.publishing.publish`.

    """
    prices = checked(text, environ)
    database = desk.ledger.database
    done = await publishing.publish(
        database, text, prices, actor=desk.actor, expected=expected, place=place
    )
    async with database.connection() as connection:
        row = await price_versions.get(connection, done.version)
    written = place.path if place is not None and done.home == "file" else None
    return VersionPublished(
        **_fields(row), repeated=done.repeated, file=None if written is None else str(written)
    )


def checked(text: str, environ: Mapping[str, str] | None) -> PriceList:
    """
    Read a text as a price file.

    Raises:
        Problem: `invalid-input`: it is none; each wrong place is named.

    """
    try:
        return load_price_list(text, environ=environ)
    except PriceFileError as error:
        raise not_a_price_file(error) from None


async def rollback(desk: Desk, version: int, *, expected: int | None = None) -> VersionRow:
    """Make an earlier version's text the newest; gateways take it within seconds."""
    async with desk.ledger.database.connection() as connection:
        done = await price_versions.roll_back(
            connection, version, actor=desk.actor, expected=expected
        )
        return VersionRow(**_fields(await price_versions.get(connection, done.version)))


async def last_refusal(desk: Desk) -> Refusal:
    """Return the last refused text's problems, unless a good one came after it."""
    async with desk.ledger.database.connection() as connection:
        found = await price_versions.last_refusal(connection)
    if found is None:
        return Refusal(gateway=None, at=None, problems=[], summary="")
    problems = [
        PriceProblem(
            line=int(problem.get("line", 0)),
            column=int(problem.get("column", 0)),
            message=str(problem.get("message", "")),
            hint=str(problem.get("hint") or ""),
        )
        for problem in found.problems
    ]
    first = problems[0]
    summary = f"line {first.line}, column {first.column}: {first.message}"
    return Refusal(gateway=found.gateway_id, at=found.at, problems=problems, summary=summary)


def check(text: str, environ: Mapping[str, str]) -> PriceCheck:
    """Say whether a text could become the next version; nothing is published."""
    try:
        load_price_list(text, environ=environ)
    except PriceFileError as error:
        return PriceCheck(
            good=False,
            problems=[
                PriceProblem(
                    line=problem.line,
                    column=problem.column,
                    message=problem.message,
                    hint=problem.hint or "",
                )
                for problem in error.problems
            ],
        )
    return PriceCheck(good=True, problems=[])


def _fields(row: price_versions.PriceVersion) -> dict[str, Any]:
    return {
        "version": row.version,
        "sha256": row.sha256.hex(),
        "source": row.source,
        "actor": row.actor,
        "published_at": row.published_at,
        "home": row.home,
    }
