"""
Lists as CSV, sent page by page while they are read.

A text that begins like a formula gets an apostrophe in front: programs that open such files run
formulas, and route names, descriptions and recorded values are other people's.
"""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

from starlette.responses import StreamingResponse

MOST_ROWS = 100_000
"""In one file; a narrower time gives the rest."""

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")

Rows = Sequence[Sequence[object]]
Turn = Callable[[str | None], Awaitable[tuple[Rows, str | None]]]
"""From a cursor to rows and the next cursor."""


async def csv_file(
    name: str, titles: Sequence[str], turn: Turn, headers: Mapping[str, str]
) -> StreamingResponse:
    """Answer with a file; the first page is read before, so that what is wrong can be told."""
    first = await turn(None)

    async def lines() -> AsyncIterator[bytes]:
        rows, following = first
        sent = len(rows)
        yield _written([titles, *rows])
        while following is not None and sent < MOST_ROWS:
            rows, following = await turn(following)
            sent += len(rows)
            yield _written(rows)
        if following is not None:
            yield _written([[f"Only {sent} rows fit into a file; choose a shorter time."]])

    disposition = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(
        lines(), media_type="text/csv; charset=utf-8", headers={**headers, **disposition}
    )


def _written(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULAS) and not _is_number(value):
        return f"'{value}"
    return "" if value is None else value


def _is_number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdigit() and text[0] in "-+" and text.isascii()
