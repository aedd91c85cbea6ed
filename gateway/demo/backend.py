"""
The API behind the demo: a real backend that knows nothing of credits.

It has one route of each kind a gateway must carry: plain JSON, a body whose size sets the
price, a usage that is only known afterwards (JSON and server-sent events), a slow one, a
failing one and a large download. `demo.yaml` beside this file prices them.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

# What one caller can make this process do: wait, or send, at most this much.
MAX_WAIT_SECONDS = 60
MAX_DOWNLOAD_BYTES = 2**30
MAX_RESULTS = 1_000
BLOCK = bytes(range(256)) * 256  # 64 KiB, so that a cut or reordered download is visible


class Unreadable(Exception):  # says what the input is, as its answer does
    """The caller's input makes no sense; becomes 422."""


async def product(request: Request) -> Response:
    """One product, as a price-comparison API would answer."""
    asin = request.path_params["asin"]
    return JSONResponse(
        {"asin": asin, "title": f"Product {asin}", "price_cents": 1_999, "currency": "USD"}
    )


async def search(request: Request) -> Response:
    """As many results as `limit` asks for."""
    body = await json_object(request)
    limit = whole(body.get("limit", 1), "limit", MAX_RESULTS)
    return JSONResponse({"results": [{"asin": f"B{n:09}"} for n in range(limit)]})


async def chat(request: Request) -> Response:
    """Answer by repeating the prompt; what it cost is in `usage`, at the end."""
    body = await json_object(request)
    words = str(body.get("prompt", "")).split() or ["..."]
    usage = {"total_tokens": 100 * len(words)}
    if body.get("stream") is True:
        return StreamingResponse(chat_events(words, usage), media_type="text/event-stream")
    return JSONResponse({"answer": " ".join(words), "usage": usage})


async def chat_events(words: list[str], usage: dict[str, int]) -> AsyncIterator[bytes]:
    """One event per word, then one with the usage."""
    for word in words:
        yield event({"delta": word})
        await asyncio.sleep(0.05)
    yield event({"usage": usage})


async def events(request: Request) -> Response:
    """`count` server-sent events, a quarter of a second apart."""
    count = whole(request.query_params.get("count", "5"), "count", MAX_RESULTS)

    async def ticking() -> AsyncIterator[bytes]:
        for number in range(1, count + 1):
            yield event({"number": number})
            await asyncio.sleep(0.25)

    return StreamingResponse(ticking(), media_type="text/event-stream")


async def slow(request: Request) -> Response:
    """Wait before answering."""
    seconds = whole(request.query_params.get("seconds", "2"), "seconds", MAX_WAIT_SECONDS)
    await asyncio.sleep(seconds)
    return JSONResponse({"waited_seconds": seconds})


async def failing(request: Request) -> Response:
    """Fails with the status asked for; nobody pays for that."""
    status = whole(request.query_params.get("status", "500"), "status", 599)
    if status < 400:  # below it is no failure
        raise Unreadable("status must be 400 to 599")
    return JSONResponse({"error": "this route fails on purpose"}, status_code=status)


async def download(request: Request) -> Response:
    """`bytes` of a file, sent in blocks."""
    size_bytes = whole(request.query_params.get("bytes", "1048576"), "bytes", MAX_DOWNLOAD_BYTES)

    async def blocks() -> AsyncIterator[bytes]:
        for sent in range(0, size_bytes, len(BLOCK)):
            yield BLOCK[: size_bytes - sent]

    headers = {
        "content-length": str(size_bytes),
        "content-disposition": 'attachment; filename="demo.bin"',
    }
    return StreamingResponse(blocks(), media_type="application/octet-stream", headers=headers)


async def health(_: Request) -> Response:
    """Up."""
    return JSONResponse({"status": "ok"})


async def unreadable(_: Request, error: Exception) -> Response:
    """Say what was wrong with the input."""
    return JSONResponse({"error": str(error)}, status_code=422)


async def json_object(request: Request) -> dict[str, Any]:
    """Read the body as a JSON object."""
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise Unreadable("the body is not JSON") from error
    if not isinstance(body, dict):
        raise Unreadable("the body must be a JSON object")
    return body


def whole(value: object, name: str, largest: int) -> int:
    """Read a whole number from 0 to `largest`."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(largest))):
        raise Unreadable(f"{name} must be a whole number from 0 to {largest}")
    number = int(text)
    if number > largest:
        raise Unreadable(f"{name} must be a whole number from 0 to {largest}")
    return number


def event(data: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def demo_backend() -> Starlette:
    """Build the backend."""
    return Starlette(
        routes=[
            Route("/v1/products/{asin}", product),
            Route("/v1/search", search, methods=["POST"]),
            Route("/v1/chat", chat, methods=["POST"]),
            Route("/v1/events", events),
            Route("/v1/slow", slow),
            Route("/v1/failing", failing),
            Route("/v1/download", download),
            Route("/health", health),
        ],
        exception_handlers={Unreadable: unreadable},
    )
