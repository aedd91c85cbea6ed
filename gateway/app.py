"""
What a request worker serves, built in one place: the proxy, and our own routes beside it.

    /farebox/...   the control routes (Starlette)
    all else       the proxy, on raw ASGI
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from config import Settings
from gateway import buy_link
from gateway.access_log import AccessLog
from gateway.asgi import AsgiTurn, Receive, Scope, Send, turn_of
from gateway.busy_poll import BusyPoll
from gateway.control import Control, OpenBilling
from gateway.fast_path import FastPath
from gateway.framing import FramingLimits, Head, StrictHttpProtocol, Turn, strict_http
from gateway.idempotency import Idempotency
from gateway.identify import Identification
from gateway.metrics import Metrics, MetricsFile
from gateway.pages_host import PagesHost
from gateway.plans import Plans
from gateway.presence import Presence
from gateway.prices import LivePrices
from gateway.proxy import Proxy
from gateway.refusals import Refusals
from gateway.request import Request
from gateway.upstream import H1Client, UpstreamClient
from gateway.websocket import WebSocketLimits
from ledger.ledger import Ledger
from ledger.ports import Clock, SystemClock

ASGIApp = Callable[[Scope, Receive, Send], object]

_log = logging.getLogger(__name__)


class App:
    """
    The ASGI application of one worker.

    Its lifespan runs what goes on beside the requests: noticing clients that leave, the
    access log, metrics. The ledger is the worker's: opened before and closed after.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        open_billing: OpenBilling,
        prices: LivePrices,
        settings: Settings,
        link_secret: bytes,
        write_log: Callable[[bytes], object],
        metrics_folder: Path | None = None,
        clock: Clock | None = None,
        websockets: WebSocketLimits | None = None,
        fast_path: bool = True,
    ) -> None:
        """
        Build everything that serves requests.

        `open_billing` is called when one of our own routes is first asked for, and what it gives
        is closed with the app. `link_secret` signs buy links; gateways on the same stores share
        one. `write_log` takes the access log's lines, in a thread. In `metrics_folder` all workers
        of this gateway leave their counters. Without `fast_path` the main flow serves all requests.
        """
        self.prices = prices
        self._clock = clock or SystemClock()
        self._ledger = ledger
        self._public_url = settings.public_url
        self._link_secret = link_secret
        self._upstreams = upstream_client(prices)
        self._presence = Presence(self._clock)
        self._access_log = AccessLog(write_log)
        self._metrics = Metrics()
        self._control = Control(
            ledger=ledger,
            prices=prices,
            settings=settings,
            open_billing=open_billing,
            clock=self._clock,
        )
        self._pages_host: PagesHost | None = None
        if settings.pages_host is not None:
            self._pages_host = PagesHost(settings.pages_host, lambda: prices.current.prefix)
        self._metrics_file: MetricsFile | None = None
        if metrics_folder is not None:
            self._metrics_file = MetricsFile(
                metrics_folder,
                self._metrics,
                gauges=self._gauges,
                deliveries=self._control.deliveries,
                clock=self._clock,
            )
        identification = Identification(ledger.keys, clock=self._clock)
        plans = Plans(ledger.plans, ledger.holds, self._clock)
        self._proxy = Proxy(
            holds=ledger.holds,
            posted_holds=ledger.posted_holds,
            idempotency=Idempotency(ledger.holds, ledger.claims, ledger.replies),
            identification=identification,
            prices=prices,
            upstreams=self._upstreams,
            presence=self._presence,
            plans=plans,
            access_log=self._access_log,
            metrics=self._metrics,
            buy_link=self.buy_link,
            clock=self._clock,
            nonce=secrets.randbits(32),
            websockets=websockets,
        )
        self._fast: FastPath | None = None
        if fast_path and isinstance(self._upstreams, H1Client):
            self._fast = FastPath(
                holds=ledger.quick_holds,
                identification=identification,
                prices=prices,
                upstreams=self._upstreams,
                plans=plans,
                access_log=self._access_log,
                metrics=self._metrics,
                clock=self._clock,
                poll=BusyPoll(settings.busy_poll_us, self._clock),
                is_proxied=self._is_proxied,
            )
        self._refusals = Refusals(
            prices=prices,
            access_log=self._access_log,
            metrics=self._metrics,
            clock=self._clock,
            nonce=secrets.randbits(32),
        )
        self._limits = replace(
            FramingLimits(),
            connections=settings.connections,
            connections_per_address=settings.connections_per_address,
        )

    def protocol(self) -> type[StrictHttpProtocol]:
        """Return what speaks with clients, for uvicorn's `http`: its refusals are noted here."""
        return strict_http(self._limits, self._refusals, self.serve, self._fast)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the server's own start and end."""
        if scope["type"] == "http":
            if self._is_ours(scope["raw_path"]):
                await self._control(scope, receive, send)
            else:
                await self._not_ours(turn_of(scope, receive, send))
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def serve(self, turn: Turn) -> None:
        """Serve a request of our own server: the proxy needs no scope."""
        if self._is_ours(turn.head.target):
            await self._control(turn.scope(), turn.receive, turn.send)
        else:
            await self._not_ours(turn)

    async def _not_ours(self, turn: Turn | AsgiTurn) -> None:
        if self._pages_host is not None and self._pages_host.is_asked(turn.head.block.headers):
            await self._pages_host.answer(turn)
        else:
            await self._proxy.serve(turn)

    def _is_ours(self, target: bytes) -> bool:
        prefix = self.prices.now.prefix
        return target.startswith(prefix) and target[len(prefix) :][:1] in (b"", b"/", b"?")

    def _is_proxied(self, head: Head) -> bool:
        asks_pages = self._pages_host is not None and self._pages_host.is_asked(head.block.headers)
        return not asks_pages and not self._is_ours(head.target)

    def buy_link(self, account: int, request: Request) -> str:
        """Return where an account can buy credits; it works without signing in."""
        token = buy_link.sign(account, secret=self._link_secret, now_s=self._clock.now_ms() // 1000)
        base = (
            self._public_url
            or f"{request.scheme.decode()}://{request.facts.host.decode('latin-1')}"
        )
        return f"{base}{self.prices.current.prefix}/buy?token={token}"

    def _gauges(self) -> dict[str, int]:
        return {"unsettled": self._ledger.settler.unsettled, "lingering": self.clients_gone}

    async def flush_log(self) -> None:
        """Write the access log's waiting lines now."""
        await self._access_log.flush()

    @property
    def open_requests(self) -> int:
        """How many requests of the proxy are being served now."""
        return self._metrics.open_requests

    @property
    def clients_gone(self) -> int:
        """Of these, how many are read on for although their client has left."""
        return sum(watch.gone for watch in self._presence.watched)

    def flush_metrics(self) -> None:
        """Leave the counters where the steward finds them."""
        if self._metrics_file is not None:
            self._metrics_file.flush()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        """Run what goes on beside the requests; at the end, write what is left of it."""
        jobs = [self._presence.run(), self._access_log.run()]
        if self._fast is not None:
            jobs.append(self._fast.run())
        if self._metrics_file is not None:
            jobs.append(self._metrics_file.run())
        tasks = [asyncio.create_task(job) for job in jobs]
        for task in tasks:
            task.add_done_callback(_complain)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await self._control.aclose()
            await self._upstreams.aclose()
            await self.flush_log()
            self.flush_metrics()


def _complain(task: asyncio.Task[None]) -> None:
    """Say so when a job that runs for ever does not."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("%s ended", task.get_coro(), exc_info=error)


def upstream_client(prices: LivePrices) -> UpstreamClient:
    """Return the client that the price file asks for."""
    if prices.current.upstream_client != "httpx":
        return H1Client()
    # Loaded only where it is asked for: with all that it stands on it takes 12 MB.
    from gateway.upstream.httpx_client import HttpxClient  # noqa: PLC0415

    return HttpxClient()
