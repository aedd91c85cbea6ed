"""The first version anyone writes: Starlette, redis-py and httpx, two calls to Redis each."""

import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import redis.asyncio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HERE = Path(__file__).parent
store = redis.asyncio.Redis(unix_socket_path=os.environ["BENCH_REDIS"], max_connections=512)
client = httpx.AsyncClient(limits=httpx.Limits(max_connections=512, max_keepalive_connections=512))
hold = store.register_script((HERE / "hold.lua").read_text())
settle = store.register_script((HERE / "settle.lua").read_text())


async def serve(request: Request) -> Response:
    key = hashlib.md5(request.headers.get("x-api-key", "").encode()).digest()
    charge = str(uuid.uuid4())
    names = ["{b}keys", "{b}balances", "{b}holds", "{b}journal"]
    status, _ = await hold(keys=names, args=[key, charge, 1])
    if status != b"HELD":
        return Response(status_code=401 if status == b"NOKEY" else 402)
    answer = await client.request(request.method, os.environ["BENCH_UPSTREAM"] + request.url.path)
    return Response(
        answer.content,
        answer.status_code,
        {"content-type": answer.headers["content-type"]},
        background=BackgroundTask(
            settle, keys=names[1:], args=[charge, 1 if answer.is_success else 0]
        ),
    )


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    yield
    await client.aclose()


app = Starlette(routes=[Route("/{path:path}", serve)], lifespan=lifespan)
