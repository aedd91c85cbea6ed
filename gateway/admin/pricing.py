"""The admin's routes about prices: trying them, and putting them in force."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from gateway.admin.handlers import PRICES_TYPE, desk, numbered
from gateway.admin.rows import V1, changes, shows
from gateway.admin.services import Services
from gateway.operations import price_changes, prices, replays
from gateway.operations.now import utc_now
from gateway.operations.prices import Expected
from gateway.operations.replay_answer import Replay, ReplayQuery
from gateway.problems import Problem, sentence
from gateway.reading import invalid
from gateway.routes import Call, Handler, Operation
from ledger.errors import Conflict

Asked = Call[Services, str, Any, Any]


async def diff(call: Asked) -> price_changes.PriceChanges:
    """Compare a text with the prices in force."""
    return await price_changes.against_live(desk(call), text_of(call))


async def replay(call: Asked) -> Replay:
    """Reprice recorded charges."""
    now = utc_now(call.services.clock)
    return await replays.replay(desk(call), text_of(call), call.query, now=now)


async def current(call: Asked) -> Response:
    """Show the version in force; its number is the ETag that a change may name."""
    shown = await prices.show(desk(call), None)
    headers = {"etag": f'"{shown.version}"', "cache-control": "no-store"}
    return Response(shown.model_dump_json(), headers=headers, media_type="application/json")


async def publish(call: Asked) -> prices.VersionPublished:
    """Make a text the newest version."""
    expected = expected_of(call)
    if expected == UNSAID:
        raise Problem(
            "expected-missing",
            "Say which version this is to follow: its number as `If-Match` or `expected`, "
            "0 for none, `If-Match: *` for any.",
        )
    with precondition():
        return await prices.publish(
            desk(call),
            text_of(call),
            environ=call.services.environ,
            expected=expected,
            place=call.services.price_file,
        )


async def roll_back(call: Asked) -> prices.VersionRow:
    """Go back to a version."""
    expected = expected_of(call)
    with precondition():
        return await prices.rollback(
            desk(call),
            numbered(call, "version"),
            expected=None if expected == UNSAID else expected,
        )


UNSAID = -1
"""No version was named, not even any."""


def expected_of(call: Asked) -> int | None:
    """Return the version that a change is to follow; None for any, UNSAID where nobody said."""
    header = call.request.headers.get("if-match")
    if header is None:
        return UNSAID if call.query.expected is None else call.query.expected
    found = re.fullmatch(r'"?([0-9]{1,9})"?', header.strip(), re.ASCII)
    if header.strip() == "*":
        return None
    if found is None or call.query.expected not in (None, int(found[1])):
        raise invalid([("expected", 'name one version, like `If-Match: "7"`')])
    return int(found[1])


@contextmanager
def precondition() -> Iterator[None]:
    """Answer 412 where another version is in force than was expected."""
    try:
        yield
    except Conflict as conflict:
        if conflict.code != "prices-changed":
            raise
        raise Problem("prices-changed", sentence(conflict)) from conflict


def text_of(call: Asked) -> str:
    """Return the price text that was sent; 400 where it is not UTF-8."""
    try:
        text: str = call.body.decode()
    except UnicodeDecodeError:
        raise Problem("bad-request", "The price file is not UTF-8.") from None
    return text


def publishing(
    path: str, name: str, summary: str, handler: Handler, answer: type[BaseModel], **more: Any
) -> Operation:
    """Name a route that puts a version in force, if the one that is expected is in force now."""
    row = changes("POST", path, name, summary, handler, answer, status=201, query=Expected, **more)
    missing = (428,) if row.text_body is not None else ()
    return replace(row, problems=(*row.problems, 412, *missing))


PRICING: tuple[Operation, ...] = (
    changes("POST", f"{V1}/prices/diff", "diff-prices",
            "What would change with a text, in words; publishes nothing",
            diff, price_changes.PriceChanges, text_body=PRICES_TYPE),
    shows(f"{V1}/prices/current", "current-prices", "The version in force, with its text",
         current, prices.VersionText),
    publishing(f"{V1}/prices", "publish-prices",
               "Make a text the newest version, if the one in force is the one expected",
               publish, prices.VersionPublished, text_body=PRICES_TYPE),
    publishing(f"{V1}/prices/{{version}}/rollback", "roll-back-prices",
               "Make an earlier text the newest version", roll_back, prices.VersionRow),
    changes("POST", f"{V1}/prices/replay", "replay-prices",
            "What recorded charges would have come to with a text; changes nothing",
            replay, Replay, text_body=PRICES_TYPE, query=ReplayQuery),
)  # fmt: skip
