"""
Answers kept on their way: each is in Postgres before the client has its last byte.

A client for upstreams in front of the usual one. What is small and of known length is read whole
and kept before anything of it is passed on, so that a failure to keep it is a clean refusal; of
what streams, the end waits. An answer that the upstream cut is never kept.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from gateway.headers import Headers, value_of
from gateway.upstream import (
    UpstreamAddress,
    UpstreamClient,
    UpstreamError,
    UpstreamRequest,
    UpstreamResponse,
)
from ledger.replies import LARGEST_BODY

Keep = Callable[[int, Headers, bytes | None], Awaitable[None]]
"""(status, headers, body; None: too large) -> kept, or it raises why it must not be given."""

_BODILESS = frozenset({204, 304})


class KeepingClient:
    """Sends one request, and keeps its answer if its status is one that counts."""

    websockets = False

    def __init__(
        self, client: UpstreamClient, *, counts: Callable[[int], bool], keep: Keep
    ) -> None:
        self._client = client
        self._counts = counts
        self._keep = keep

    def send(
        self, request: UpstreamRequest, upstream: UpstreamAddress
    ) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Do as the usual client; the block begins later where the answer is kept first."""
        return self._send(request, upstream)

    @asynccontextmanager
    async def _send(
        self, request: UpstreamRequest, upstream: UpstreamAddress
    ) -> AsyncIterator[UpstreamResponse]:
        async with self._client.send(request, upstream) as response:
            if self._counts(response.status):
                yield await self._kept(request, response)
            else:
                yield response

    async def aclose(self, drain_ms: int = 0) -> None:
        """Do nothing: the usual client is closed by who made it."""

    async def _kept(self, request: UpstreamRequest, response: UpstreamResponse) -> UpstreamResponse:
        length = _length(request, response)
        if length is None or length > LARGEST_BODY:
            return _Streamed(response, length, self._keep)
        pieces: list[bytes] = []
        error = None
        try:
            async for piece in response.chunks():
                pieces += [piece]  # what came before an error counts
        except UpstreamError as cut:
            error = cut
        else:
            await self._keep(response.status, response.headers, b"".join(pieces))
        return _Read(response, b"".join(pieces), error)


class _Response:
    """What an answer says besides its body."""

    def __init__(self, response: UpstreamResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers
        self.switch = response.switch


class _Read(_Response):
    """An answer that was read: whole, or up to where it broke off."""

    arrived = True

    def __init__(
        self, response: UpstreamResponse, body: bytes, error: UpstreamError | None
    ) -> None:
        super().__init__(response)
        self._body = body
        self._error = error

    def whole(self, most_bytes: int) -> bytes | None:
        """Give the body; see the door."""
        return self._body if self._error is None and len(self._body) <= most_bytes else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give what came, and raise what came then."""
        if self._body:
            yield self._body
        if self._error is not None:
            raise self._error


class _Streamed(_Response):
    """An answer that is passed on as it comes, but for its end."""

    def __init__(self, response: UpstreamResponse, length: int | None, keep: Keep) -> None:
        super().__init__(response)
        self._length = length
        self._keep = keep

    @property
    def arrived(self) -> bool:
        """Some of the body is here."""
        return self._response.arrived

    def whole(self, most_bytes: int) -> None:
        """Say that it has to be read: its end is not given before it is kept."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body as it comes. With a length its last piece waits, without one the end."""
        pieces: list[bytes] = []
        passed = 0
        async for piece in self._response.chunks():
            passed += len(piece)
            if passed <= LARGEST_BODY:
                pieces.append(piece)
            if passed == self._length:
                await self._keep_all(pieces, passed)
            yield piece
        if self._length is None:
            await self._keep_all(pieces, passed)

    async def _keep_all(self, pieces: list[bytes], passed: int) -> None:
        body = b"".join(pieces) if passed <= LARGEST_BODY else None
        await self._keep(self.status, self.headers, body)


def _length(request: UpstreamRequest, response: UpstreamResponse) -> int | None:
    if request.method == b"HEAD" or response.status in _BODILESS:
        return 0
    length = value_of(response.headers, b"content-length")
    return None if length is None else int(length)
