"""What a command about selling stands on: a desk, the prices in force, and the way to Stripe."""

import functools
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Concatenate, ParamSpec

from billing.billing import Billing
from billing.shop import Shop
from config import PriceFileError, PriceList, Settings, load_price_list, read_price_file
from gateway.commands.failed import CommandFailed
from gateway.commands.first_types import register_first_types
from gateway.commands.session import Said, operates
from gateway.commands.stores import PREFIX
from gateway.operations.desk import Desk
from ledger import price_versions
from ledger.ports import SystemClock
from ledger.signing import signing_secret

Asked = ParamSpec("Asked")


@dataclass(frozen=True, slots=True)
class Till:
    """What sells, for as long as the command runs, and the name under which it acts."""

    desk: Desk
    billing: Billing
    prices: PriceList

    @property
    def shop(self) -> Shop:
        """What every part of selling is given; SellingNotConfigured where there is no Stripe."""
        return self.billing.need()

    @property
    def livemode(self) -> bool | None:
        """Whether money is real; None where there is no Stripe."""
        return None if self.billing.shop is None else self.billing.shop.livemode


def sells(
    work: Callable[Concatenate[Till, Asked], Coroutine[Any, Any, Said]],
) -> Callable[Asked, int]:
    """Make an operation about selling a command; Stripe is reached as the environment says."""

    async def command(desk: Desk, /, *args: Asked.args, **kwargs: Asked.kwargs) -> Said:
        async with opened(desk) as till:
            return await work(till, *args, **kwargs)

    return operates(functools.update_wrapper(command, work))


@asynccontextmanager
async def opened(desk: Desk) -> AsyncIterator[Till]:
    """Open the till at a desk, for as long as the block runs."""
    settings = Settings.from_environment()
    await register_first_types(desk)
    prices = await prices_in_force(desk, settings)
    # Our pages lie below the prefix that the price file names; the desk knows only the usual one.
    desk = replace(desk, pages_url=desk.pages_url.removesuffix(PREFIX) + prices.prefix)
    async with desk.ledger.database.connection() as connection:
        secret = await signing_secret(connection, "buy links", random_bytes=secrets.token_bytes)
    billing = await Billing.open(
        settings,
        desk.ledger,
        prices=lambda: prices,
        pages_url=desk.pages_url,
        link_secret=secret,
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
    )
    try:
        yield Till(desk, billing, prices)
    finally:
        await billing.aclose()


async def prices_in_force(desk: Desk, settings: Settings) -> PriceList:
    """
    Return the published prices; before the first `serve`, those of the price file.

    Raises:
        CommandFailed: They cannot be read here.

    """
    async with desk.ledger.database.connection() as connection:
        newest = await price_versions.current(connection)
        text = newest and await price_versions.text_of(connection, newest.version)
    try:
        return load_price_list(text or read_price_file(settings.config), environ=settings.environ)
    except PriceFileError as error:
        raise CommandFailed(
            f"the prices cannot be read here: {error}; set the variables that serve has"
        ) from error
