"""
The operator's file becomes a numbered version, or a refusal with its lines.

Each gateway's steward looks at its own file. A good text is published once, whoever reads
it first; a bad one is refused loudly and changes nothing.
"""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from config import PriceFileError, PriceList, PriceWatch, Route, load_price_list
from gateway.price_feed import scales_of
from ledger import credit_types, gateways, price_versions
from ledger.database import Database
from ledger.errors import Conflict, NotFound
from ledger.outage import OUTAGE, told
from ledger.ports import Clock
from ledger.price_versions import Rule

LOOK_S = 1.0
"""A change is published once it was seen the same twice."""

_log = logging.getLogger(__name__)


class PriceFile:
    """One gateway's file, and how it stands."""

    def __init__(
        self,
        database: Database,
        watch: PriceWatch,
        *,
        gateway_id: str,
        host: str,
        environ: Mapping[str, str],
        clock: Clock,
    ) -> None:
        """Look at nothing yet; `environ` is what `${NAME}` may name."""
        self._database = database
        self._watch = watch
        self._gateway_id = gateway_id
        self._host = host
        self._environ = environ
        self._clock = clock
        self._sha256: bytes | None = None
        self._refusal: list[dict[str, Any]] | None = None
        self._told_aside = False
        self._unpublished: str | None = None
        self._trouble: str | None = None

    async def run(self) -> None:
        """Look at the file each second, and say that this gateway lives; for ever."""
        while True:
            try:
                await self.look()
            except OUTAGE as away:
                _log.warning("the price file waits for Postgres: %s", told(away))
            await self._clock.sleep(LOOK_S)

    async def look(self) -> None:
        """
        Publish or refuse what has changed, then tell how this gateway stands.

        What Postgres could not take is kept and tried again at the next look.
        """
        changed = self._watch.poll()
        if self._watch.trouble != self._trouble:
            self._trouble = self._watch.trouble
            if self._trouble:
                _log.error("%s; the prices in force stay", self._trouble)
        if changed is not None:
            self._unpublished = changed
        if self._unpublished is not None:
            await self.take(self._unpublished)
            self._unpublished = None
        await self._tell()

    async def take(self, text: str) -> None:
        """Publish a text, or refuse it; a repeat does neither again, nor is a file always asked."""
        if await self._is_set_aside():
            return
        sha256 = hashlib.sha256(text.encode()).digest()
        try:
            prices = load_price_list(text, environ=self._environ)
            await self._publish(text, prices)
        except PriceFileError as error:
            problems = [
                {"line": p.line, "column": p.column, "message": p.message, "hint": p.hint}
                for p in error.problems
            ]
            await self._refuse(sha256, problems)
        except Conflict as conflict:
            # Right by itself, but not beside what is stored: a changed scale of a credit type.
            problem = {"line": 1, "column": 1, "message": str(conflict), "hint": ""}
            await self._refuse(sha256, [problem])
        else:
            self._refusal = None
        self._sha256 = sha256

    async def _is_set_aside(self) -> bool:
        """Say whether prices live in the database, where no file counts; told once."""
        async with self._database.connection() as connection:
            current = await price_versions.current(connection)
        aside = current is not None and current.home == "database"
        if aside and not self._told_aside:
            _log.warning("prices live in the database: the price file is not taken")
        self._told_aside = aside
        return aside

    async def _publish(self, text: str, prices: PriceList) -> None:
        rules = [rule_of(route) for route in prices.routes]
        async with self._database.transaction() as connection:
            await credit_types.register(connection, scales_of(prices))
            published = await price_versions.publish(
                connection, text, rules, actor=f"file:{self._host}", home=prices.prices
            )
        if not published.repeated:
            _log.info("the price file is version %d now", published.version)

    async def _refuse(self, sha256: bytes, problems: list[dict[str, Any]]) -> None:
        for problem in problems:
            _log.error(
                "price file refused, the prices in force stay: %d:%d: %s %s",
                *(problem[name] for name in ("line", "column", "message", "hint")),
            )
        async with self._database.connection() as connection:
            await price_versions.refuse(connection, self._gateway_id, sha256, problems)
        self._refusal = problems

    async def _tell(self) -> None:
        """Keep this gateway's row: that it lives, what it charges by, how its file stands."""
        async with self._database.connection() as connection:
            current = await price_versions.current(connection)
            aside = current is not None and current.home == "database"
            for _ in range(2):
                try:
                    await gateways.set_prices(
                        connection,
                        self._gateway_id,
                        price_version=current.version if current else None,
                        file_sha256=None if aside else self._sha256,
                        refusal=None if aside else self._refusal,
                    )
                    await gateways.seen(connection, self._gateway_id)
                except NotFound:
                    await gateways.register(connection, self._gateway_id, self._host)
                else:
                    return


def rule_of(route: Route) -> Rule:
    """Describe a route for those who explain a charge when the file is long gone."""
    price = route.price
    return Rule(
        rule=route.index,
        route=route.name,
        path=route.path,
        methods=route.methods,
        credit_type=price.credit_type,
        price={
            "scale": price.scale,
            "flat": price.flat,
            "per": [
                {
                    "source": line.source,
                    "selector": line.selector,
                    "unit": line.unit,
                    "cost": line.cost,
                    "default": line.default,
                }
                for line in price.lines
            ],
            "min": price.minimum,
            "max": price.maximum,
            "hold": price.hold,
            "missing": price.missing,
        },
    )
