"""The reference upstream client: the same door over httpx, slower and with known differences."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from gateway.upstream.door import Headers, UpstreamAddress, UpstreamRequest
from gateway.upstream.errors import (
    UpstreamBusy,
    UpstreamCut,
    UpstreamInvalid,
    UpstreamRefused,
    UpstreamReset,
    UpstreamTimeout,
)
from gateway.upstream.limits import UpstreamLimits
from gateway.upstream.request_head import request_head
from gateway.upstream.response import FRAMING_HEADERS


class HttpxClient:
    """
    Sends with httpx. Stands in for `H1Client` when `upstream_client: httpx` is set.

    Differences: it parses with h11, which accepts what `H1Client` calls invalid (equal doubled
    lengths, made one); interim responses and head sizes are bounded by h11;
    a streamed body is sent to its end before the response is looked at; it never repeats a
    request, and it has no WebSockets.
    """

    websockets = False

    def __init__(self, limits: UpstreamLimits | None = None) -> None:
        self._limits = limits or UpstreamLimits()
        self._clients: dict[tuple[str | None, int], httpx.AsyncClient] = {}
        self._closing = False

    @asynccontextmanager
    async def send(
        self, request: UpstreamRequest, upstream: UpstreamAddress
    ) -> AsyncIterator["HttpxResponse"]:
        """Send a request; see the door."""
        if self._closing:
            raise UpstreamRefused("the client is closing")
        client = self._client_for(upstream)
        ours = _httpx_request(request, upstream, self._limits)
        response = None
        try:
            response = await client.send(ours, stream=True, follow_redirects=False)
        except httpx.PoolTimeout as error:
            raise UpstreamBusy("no connection came free in time") from error
        except httpx.ConnectTimeout as error:
            raise UpstreamTimeout("the upstream did not accept in time", phase="connect") from error
        except httpx.ReadTimeout as error:
            raise UpstreamTimeout("no response in time", phase="first_byte") from error
        except httpx.WriteTimeout as error:
            raise UpstreamTimeout("it stopped taking the body", phase="idle") from error
        except httpx.ConnectError as error:
            raise UpstreamRefused(f"no connection to the upstream: {error}") from error
        except (httpx.ReadError, httpx.WriteError) as error:
            raise UpstreamReset("the connection was reset", sent=True, head_sent=True) from error
        except httpx.RemoteProtocolError as error:
            if "disconnected" in str(error):
                raise UpstreamReset(str(error), sent=True, head_sent=True) from error
            raise UpstreamInvalid(str(error)) from error
        try:
            if sum(name.lower() in FRAMING_HEADERS for name, _ in response.headers.raw) > 1:
                raise UpstreamInvalid("more than one length")
            yield HttpxResponse(response)
        finally:
            await response.aclose()

    async def aclose(self, drain_ms: int = 0) -> None:
        """Take no more requests and close. httpx cannot wait for those under way."""
        del drain_ms
        self._closing = True
        for client in self._clients.values():
            await client.aclose()

    def _client_for(self, upstream: UpstreamAddress) -> httpx.AsyncClient:
        # httpx counts connections over all hosts, so that each limit has a client of its own.
        place = (upstream.ca_file, upstream.max_connections)
        client = self._clients.get(place)
        if client is None:
            client = self._clients[place] = httpx.AsyncClient(
                verify=ssl.create_default_context(cafile=upstream.ca_file),
                http2=False,
                trust_env=False,
                limits=httpx.Limits(
                    max_connections=upstream.max_connections,
                    max_keepalive_connections=upstream.max_connections,
                    keepalive_expiry=self._limits.keep_ms / 1000,
                ),
            )
        return client


class HttpxResponse:
    """A response of httpx behind the door."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Headers = [(name.lower(), value) for name, value in response.headers.raw]

    def switch(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Refuse: httpx does not give its connections away."""
        raise UpstreamInvalid(f"101, which nobody asked for ({type(successor).__name__})")

    arrived = False
    """It may be; httpx does not tell."""

    def whole(self, most_bytes: int) -> bytes | None:
        """Say that it may still be on its way; see the door."""
        del most_bytes
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body as it comes; see the door."""
        try:
            async for piece in self._response.aiter_raw():
                if piece:
                    yield piece
        except httpx.ReadTimeout as error:
            raise UpstreamTimeout("nothing in time", phase="idle") from error
        except httpx.ReadError as error:
            raise UpstreamCut("the connection was reset amid the body") from error
        except httpx.RemoteProtocolError as error:
            if "closed connection" in str(error):
                raise UpstreamCut(str(error)) from error
            raise UpstreamInvalid(str(error)) from error


def _httpx_request(
    request: UpstreamRequest,
    upstream: UpstreamAddress,
    limits: UpstreamLimits,
) -> httpx.Request:
    # Composed only to have the same refusals, and then to have the same headers sent.
    head = request_head(request, upstream.authority)
    lines = head.split(b"\r\n")[1:-2]
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]

    async def trace(event: str, _: Any) -> None:
        if event == "http11.send_request_headers.started":
            request.head_sent = True

    idle_s = upstream.timeout_ms / 1000
    url = httpx.URL(scheme=upstream.scheme, host=upstream.host, port=upstream.port)
    return httpx.Request(
        request.method.decode("ascii"),
        url,
        headers=headers,
        content=request.body,
        # Given a stream, httpx adds no `Content-Length: 0` of its own.
        stream=httpx.ByteStream(b"") if request.body is None else None,
        extensions={
            # The target as it is: without this httpx would encode and resolve it again.
            "target": request.target,
            "trace": trace,
            "timeout": {
                "connect": upstream.connect_timeout_ms / 1000,
                "read": idle_s,
                "write": idle_s,
                "pool": limits.wait_ms / 1000,
            },
        },
    )
