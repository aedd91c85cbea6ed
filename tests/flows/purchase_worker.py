"""
A process that takes a delivery and works through the inbox, and can die at a given point.

`python -m tests.flows.purchase_worker` with one JSON object on its standard input. It dies as by
`kill -9`: nothing is unwound, no connection closed.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from billing.events import inbox_worker
from billing.events.webhook import accept
from billing.purchases import payments
from billing.shop import Shop
from ledger import controls
from ledger.ledger import LedgerOptions
from tests.flows.purchase_rig import WarpedClock, shop_at


def die(*_: object, **__: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def behind(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, and then death."""

    async def last(*given: Any, **named: Any) -> NoReturn:
        await function(*given, **named)
        die()

    return last


def aim(point: str) -> None:
    """Have this process die at a point of the way from the inbox to Redis."""
    match point:
        case "claimed":  # the event is taken from the inbox, nothing was asked yet
            inbox_worker._judge = die
        case "ordered":  # the control is written, its transaction not committed
            controls.add = behind(controls.add)
        case "booked":  # payment and grants are written, their transaction not committed
            payments.book = behind(payments.book)
        case "committed":  # Postgres has it, Redis does not
            Shop.push = die
        case "applied":  # Redis has it, the event does not say so
            Shop.push = behind(Shop.push)


async def main(given: dict[str, Any]) -> None:
    options = LedgerOptions(**given["options"])
    clock = WarpedClock(lambda: given["ahead_s"])
    async with shop_at(options, given["key"], given["stripe_url"], clock) as shop:
        if given["body"]:
            await accept(shop, given["body"].encode(), given["header"])
        if given["die_at"] == "accepted":  # the event is committed, and answered
            die()
        aim(given["die_at"])
        await inbox_worker.work(shop)


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
