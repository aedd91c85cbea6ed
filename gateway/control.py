"""
The routes under the prefix, as a worker has them: opened when they are first asked for.

A worker that only serves calls needs none of them, and they stand on half of what a worker would
take: selling, Stripe's library, the models of all answers. The probes that a load balancer asks
all day are answered before that; once the routes are open they answer those as well, and alike.
"""

import asyncio
import gc
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from config import Settings
from gateway.asgi import Receive, Scope, Send
from gateway.prices import LivePrices
from gateway.problems import Problem, problem_for
from gateway.readiness import readiness
from ledger.errors import LedgerUnavailable
from ledger.ledger import Ledger
from ledger.outage import OUTAGE
from ledger.ports import Clock

if TYPE_CHECKING:
    from billing.billing import Billing

Routes = Callable[[Scope, Receive, Send], Awaitable[None]]
OpenBilling = Callable[[], Awaitable["Billing"]]

PROBES: Final = ("/livez", "/readyz")
FAILED: Final = Problem("internal-error", "The gateway failed; its log says more.")


class Control:
    """The control routes of one worker."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        prices: LivePrices,
        settings: Settings,
        open_billing: OpenBilling,
        clock: Clock,
    ) -> None:
        """Open nothing yet; `open_billing` is asked once, with the first route."""
        self._ledger = ledger
        self._prices = prices
        self._settings = settings
        self._open_billing = open_billing
        self._clock = clock
        self._billing: Billing | None = None
        self._routes: Routes | None = None
        self._opening: asyncio.Task[Routes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request below the prefix."""
        if self._routes is None:
            probe = self._probe(scope)
            try:
                if probe is not None:
                    await self._answer_probe(probe, scope, send)
                    return
                await self._opened()
            except Exception as error:
                problem = problem_for(_named(error))
                await self._refuse(problem or FAILED, scope, send)
                if problem is None:
                    raise  # what nobody expected is answered, and the log has it
                return
        assert self._routes is not None
        await self._routes(scope, receive, send)

    def deliveries(self) -> Mapping[str, int]:
        """Return how often Stripe's deliveries were answered with what."""
        shop = None if self._billing is None else self._billing.shop
        counts = {} if shop is None else shop.webhook_counts.snapshot()
        return {name.removeprefix("webhook_"): count for name, count in counts.items()}

    async def aclose(self) -> None:
        """Close what was opened. A repeat is harmless."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        if self._billing is not None:
            await self._billing.aclose()

    async def _opened(self) -> None:
        """Wait until the routes are open; who comes while they are being opened waits with us."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(), name="open the control routes")
        # A client that leaves takes nothing from the others that wait.
        await asyncio.shield(self._opening)

    async def _open(self) -> Routes:
        # Half a second of Python: in a thread, so that calls are served meanwhile.
        build = await asyncio.to_thread(_imported)
        self._billing = self._billing or await self._open_billing()
        self._routes = build(
            ledger=self._ledger,
            prices=self._prices,
            settings=self._settings,
            billing=self._billing,
            clock=self._clock,
        )
        # See `spare_the_collector`; what is garbage just now is too little to look for.
        gc.freeze()
        return self._routes

    def _probe(self, scope: Scope) -> str | None:
        """Return which probe is asked, as everybody asks it; all else is for the routes."""
        path: str = scope["path"].removeprefix(self._prices.current.prefix)
        plain = scope["method"] in ("GET", "HEAD") and not scope["query_string"]
        return path if plain and path in PROBES else None

    async def _answer_probe(self, probe: str, scope: Scope, send: Send) -> None:
        told: dict[str, object] = {"live": True}
        if probe == "/readyz":
            found = await readiness(self._ledger)
            told = {
                "ready": True,
                "price_version": found.price_version,
                "warnings": found.warnings,
            }
        body = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
        headers = [
            (b"cache-control", b"no-store"),
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]
        await _send(send, scope, 200, headers, body)

    async def _refuse(self, problem: Problem, scope: Scope, send: Send) -> None:
        body = problem.body(secrets.token_hex(12), self._prices.current.prefix)
        await _send(send, scope, problem.status, problem.header_list(len(body)), body)


def _imported() -> Callable[..., Routes]:
    """Import the routes and all that they stand on."""
    from gateway.consumer import consumer_app  # noqa: PLC0415 - see above

    return consumer_app


def _named(error: Exception) -> Exception:
    """Give a store that is away the name under which clients are told of it."""
    return LedgerUnavailable(type(error).__name__) if isinstance(error, OUTAGE) else error


async def _send(
    send: Send, scope: Scope, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    headers.append((b"date", formatdate(usegmt=True).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    shown = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": shown, "more_body": False})
