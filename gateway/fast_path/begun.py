"""What the fast path has done of a request that it leaves to the main flow."""

from contextlib import suppress

from gateway.prices import Prices
from gateway.upstream import H1Client, UpstreamAddress, UpstreamClient, UpstreamRequest
from gateway.upstream.h1 import Exchange, Lent
from ledger.errors import LedgerUnavailable
from ledger.holds import Asked, Holds


class Begun:
    """
    A hold that was asked for, perhaps the request written to its backend, an answer begun.

    Attributes:
        prices: In force when it began.
        began_us: Microseconds since 1970.
        body: All of the request's.
        passed: So much of the answer's body was passed on, behind its head; None where the client
            was told nothing yet.
    """

    __slots__ = ("_asked", "_lent", "_upstreams", "began_us", "body", "passed", "prices")

    def __init__(
        self,
        prices: Prices,
        began_us: int,
        body: bytes,
        *,
        asked: Asked,
        lent: Lent | None,
        passed: bytes | None,
        upstreams: H1Client,
    ) -> None:
        self.prices = prices
        self.began_us = began_us
        self.body = body
        self._asked: Asked | None = asked
        self.passed = passed
        self._lent = lent
        self._upstreams = upstreams

    @property
    def plan(self) -> int | None:
        """The plan that it was priced by, where its hold still waits to be taken."""
        return None if self._asked is None else self._asked.order.plan

    def take_asked(self) -> Asked | None:
        """Take over the hold, once: its ending is the taker's affair."""
        asked, self._asked = self._asked, None
        return asked

    def upstreams(self, usual: UpstreamClient) -> "UpstreamClient":
        """Return the client to send the request with: it may be on its way already."""
        lent = self._lent
        return usual if lent is None or lent.taken else _Resuming(self._upstreams, lent)

    def close(self, holds: Holds) -> None:
        """Give back what nobody has taken over; a repeat is harmless."""
        asked = self.take_asked()
        if asked is not None:
            holds.give_back(asked.order, asked.hold_id, asked.epoch)
            if not asked.answer.cancel():
                with suppress(LedgerUnavailable):
                    asked.answer.result()
        if self._lent is not None:
            self._lent.give_back()
            self._lent = None


class _Resuming:
    """An upstream client for one request, which it has written already."""

    websockets = False

    def __init__(self, client: H1Client, lent: Lent) -> None:
        self._client = client
        self._lent = lent

    def send(self, request: UpstreamRequest, upstream: UpstreamAddress) -> Exchange:
        """Go on with it."""
        return self._client.resume(request, upstream, self._lent)

    async def aclose(self, drain_ms: int = 0) -> None:
        """Do nothing: the client that it goes by is closed by its owner."""
