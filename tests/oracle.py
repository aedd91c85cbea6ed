"""A backend that counts what it served, by request id: what a gateway may charge at most."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.serve import address, listening
from gateway.server import Server


@dataclass
class Oracle:
    """Where it is, and how often it served each request id to the end."""

    url: str = ""
    served: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: Request) -> JSONResponse:
        self.served[request.headers["farebox-request-id"]] += 1
        return JSONResponse({"served": True})


@asynccontextmanager
async def oracle() -> AsyncIterator[Oracle]:
    counted = Oracle()
    app = Starlette(routes=[Route("/{path:path}", counted.answer, methods=["GET", "POST"])])
    started = asyncio.Event()
    config = uvicorn.Config(
        app, ws="none", lifespan="off", access_log=False, log_config=None, backlog=2_048,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = Server(config, started.set)
    with listening("127.0.0.1", 0, "--port") as listener:
        counted.url = address(listener)
        serve = asyncio.create_task(server.serve(sockets=[listener]))
        await started.wait()
        try:
            yield counted
        finally:
            server.stop()
            await serve
