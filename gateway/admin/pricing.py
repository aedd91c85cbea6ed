"""The admin's routes about trying prices."""

from typing import Any

from gateway.admin.handlers import PRICES_TYPE, desk
from gateway.admin.rows import V1, changes
from gateway.admin.services import Services
from gateway.operations import price_changes, replays
from gateway.operations.now import utc_now
from gateway.operations.replay_answer import Replay, ReplayQuery
from gateway.problems import Problem
from gateway.routes import Call, Operation

Asked = Call[Services, str, Any, Any]


async def diff(call: Asked) -> price_changes.PriceChanges:
    """Compare a text with the prices in force."""
    return await price_changes.against_live(desk(call), text_of(call))


async def replay(call: Asked) -> Replay:
    """Reprice recorded charges."""
    now = utc_now(call.services.clock)
    return await replays.replay(desk(call), text_of(call), call.query, now=now)


def text_of(call: Asked) -> str:
    """Return the price text that was sent; 400 where it is not UTF-8."""
    try:
        text: str = call.body.decode()
    except UnicodeDecodeError:
        raise Problem("bad-request", "The price file is not UTF-8.") from None
    return text


PRICING: tuple[Operation, ...] = (
    changes("POST", f"{V1}/prices/diff", "diff-prices",
            "What would change with a text, in words; publishes nothing",
            diff, price_changes.PriceChanges, text_body=PRICES_TYPE),
    changes("POST", f"{V1}/prices/replay", "replay-prices",
            "What recorded charges would have come to with a text; changes nothing",
            replay, Replay, text_body=PRICES_TYPE, query=ReplayQuery),
)  # fmt: skip
