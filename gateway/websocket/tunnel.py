"""
What becomes of an exchange whose upstream has answered 101: a WebSocket, until either end goes.

Both transports are taken over from their HTTP protocols, so bytes pass without a task or a queue
between them. The request's own task only waits, and pays.
"""

from collections.abc import Awaitable, Callable

from gateway.headers import Headers
from gateway.outcome import End
from gateway.request import ClientGone, Request
from gateway.upstream import UpstreamResponse
from gateway.websocket.handshake import agreed, switching
from gateway.websocket.limits import WebSocketLimits
from gateway.websocket.relay import Relay
from gateway.websocket.toll import Toll

Keep = Callable[[Relay], Awaitable[None]]
"""Keeps a connection paid for; returns when it has ended."""


async def until_ended(relay: Relay) -> None:
    """Wait for the end of a connection that nobody pays for."""
    while not relay.ended:
        relay.changed.clear()
        await relay.changed.wait()


class Tunnel:
    """One connection to be, and how it is paid for."""

    def __init__(
        self,
        request: Request,
        toll: Toll,
        limits: WebSocketLimits,
        *,
        max_message_bytes: int | None,
        keep: Keep = until_ended,
    ) -> None:
        self._request = request
        self._toll = toll
        self._limits = limits
        self._max_message_bytes = max_message_bytes
        self._keep = keep
        self._relay: Relay | None = None

    @property
    def sent_bytes(self) -> int:
        """What the client was sent after its handshake."""
        return 0 if self._relay is None else self._relay.client.sent_bytes

    async def run(self, response: UpstreamResponse, headers: Headers) -> End:
        """
        Answer the client 101 with these headers, relay until the end, and say how it ended.

        Raises:
            UpstreamInvalid: The upstream's handshake is not one; the client was told nothing.
            UpstreamReset: Its connection is gone already.
            ClientGone: The client has left meanwhile.
        """
        deflated = agreed(self._request.headers, response.headers)
        relay = self._relay = Relay(
            self._toll,
            self._limits,
            deflated=deflated,
            max_message_bytes=self._max_message_bytes,
        )
        try:
            self._join(relay, response, switching(headers))
            await self._keep(relay)
        except BaseException:
            relay.abort()
            raise
        return relay.end

    def _join(self, relay: Relay, response: UpstreamResponse, head: bytes) -> None:
        client, upstream = relay.client, relay.upstream
        transport, early = response.switch(upstream)
        upstream.take(transport)
        left = self._request.upgrade_to(client, head)
        if left is None:
            upstream.abort()
            raise ClientGone
        client.take(left.transport, left.forget)
        transport.resume_reading()  # it was held back until there was somebody to hear it
        if left.early:
            client.data_received(left.early)
        if early:
            upstream.data_received(early)
