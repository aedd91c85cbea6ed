"""Which prices are in force, as Postgres says: looked at each second, by every process alike."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from config import PriceFileError, PriceList, load_price_list
from ledger import credit_types, price_versions
from ledger.database import Database
from ledger.outage import OUTAGE, told
from ledger.ports import Clock

LOOK_S = 1.0
"""A published change is in force everywhere this long after it was published, at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """
    One version of the prices, read.

    Attributes:
        type_numbers: Credit type -> its number in both stores.
    """

    list: PriceList
    version: int
    type_numbers: Mapping[str, int]


class PriceFeed:
    """Follows the newest version."""

    def __init__(self, database: Database, environ: Mapping[str, str], clock: Clock) -> None:
        """Follow nothing yet; `environ` is what `${NAME}` may name on this machine."""
        self._database = database
        self._environ = environ
        self._clock = clock
        self._read = 0
        self._trouble = ""

    async def first(self) -> InForce:
        """
        Return the version in force, waiting for the very first one.

        Raises:
            PriceFileError: It cannot be read here, mostly for a variable that is not set.

        """
        while True:
            found = await self._newer()
            if found is not None:
                self._read = found.version
                return found
            await self._clock.sleep(LOOK_S)

    async def follow(self, take: Callable[[InForce], Awaitable[None]]) -> None:
        """
        Hand over each new version, for ever.

        While Postgres is away, or a version cannot be read here, the one before stays.
        """
        while True:
            await self._clock.sleep(LOOK_S)
            try:
                found = await self._newer()
                if found is not None:
                    await take(found)
                    self._read = found.version  # not before: what was not taken comes again
                    _log.info("prices of version %d are in force", found.version)
            except OUTAGE as away:
                self._complain(f"the price version cannot be looked up: {told(away)}")
            except PriceFileError as error:
                self._complain(f"the published prices cannot be read here: {error}")
            else:
                self._trouble = ""

    async def _newer(self) -> InForce | None:
        """Read the newest version, unless it is the one read before."""
        async with self._database.connection() as connection:
            newest = await price_versions.current(connection)
            if newest is None or newest.version == self._read:
                return None
            text = await price_versions.text_of(connection, newest.version)
            prices = load_price_list(text, environ=self._environ)
            numbers = await credit_types.register(connection, scales_of(prices))
        return InForce(prices, newest.version, numbers)

    def _complain(self, sentence: str) -> None:
        """Say it once, not each second."""
        if sentence != self._trouble:
            self._trouble = sentence
            _log.error("%s", sentence)


def scales_of(prices: PriceList) -> dict[str, int]:
    """Return credit type -> decimal places, as the ledger registers them."""
    return {name: kind.scale for name, kind in prices.credit_types.items()}
