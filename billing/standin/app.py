"""The ASGI application: the API, the controls and the pages."""

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import stripe
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from billing.standin import control
from billing.standin.access import check_own_page, given_key
from billing.standin.api import Answered, Api, Asked
from billing.standin.endpoints import find_page
from billing.standin.failures import StripeFailure

if TYPE_CHECKING:
    from billing.standin.world import World

LONGEST_BODY = 1 << 20  # bytes; far more than any request of ours
BANNER = "This is a stand-in for Stripe: no real money moves."


class StandInApp:
    """Plays Stripe over HTTP for one World."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._api = Api(world)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0]
        body = await _read(request)
        if body is None:
            await Response("The body is too large.", 413)(scope, receive, send)
        elif path.startswith("/_control/"):
            await self._control(request, path, body)(scope, receive, send)
        elif path.startswith(("/v1/", "/v2/")):
            await self._serve_api(request, path, body, send)
        else:
            await self._page(request, path, body)(scope, receive, send)

    async def _serve_api(self, request: Request, path: str, body: bytes, send: Send) -> None:
        text = request.url.query if request.method == "GET" else body.decode(errors="replace")
        answered = self._api.answer(Asked(request.method, path, request.headers, text))
        fault = answered.fault
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        self._api.keep(answered)
        if fault is not None and fault.kind.startswith("cut_"):
            await _cut(send)
            return
        await _send(answered, send)

    def _control(self, request: Request, path: str, body: bytes) -> Response:
        """Answer 401 without the key: pages of other sites can also reach the loopback address."""
        key = given_key(request.headers.get("authorization", ""))
        if not secrets.compare_digest(key.encode(), self._world.key.encode()):
            return JSONResponse({"error": "The stand-in's key is needed."}, 401)
        if request.method != "POST":
            return JSONResponse(control.controls())
        try:
            given = json.loads(body or b"{}")
            return JSONResponse(control.run(self._world, path.removeprefix("/_control/"), given))
        except StripeFailure as failure:
            return JSONResponse(failure.body(), failure.status)
        except ValueError:
            return JSONResponse({"error": "The body must be a JSON object."}, 400)

    def _page(self, request: Request, path: str, body: bytes) -> Response:
        found = find_page(request.method, path)
        if found is None:
            return Response(f"Nothing is here. {BANNER}", 404)
        page, parameters = found
        query: dict[str, Any] = dict(parse_qsl(request.url.query, keep_blank_values=True))
        form: dict[str, Any] = dict(
            parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
        )
        try:
            if page.guarded:
                check_own_page(request.method, request.headers)
            self._world.run_due()
            self._world.changes += request.method == "POST"
            answer: Response = page.handler(self._world, parameters, query, form)
        except StripeFailure as failure:
            return Response(f"{failure.message} {BANNER}", failure.status)
        except Exception as error:
            self._world.bugs.append(f"{request.method} {page.path}: {error!r}")
            raise
        return answer


async def _read(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY:
            return None
    return bytes(body)


async def _send(answered: Answered, send: Send) -> None:
    content = answered.body.encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "request-id": answered.request_id,
        "stripe-version": stripe.api_version,
        **({"idempotency-key": answered.key} if answered.key else {}),
        **answered.headers,
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answered.status, "headers": raw})
    await send({"type": "http.response.body", "body": content})


async def _cut(send: Send) -> None:
    """Break the connection: a server that sees an answer end too early closes it."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
