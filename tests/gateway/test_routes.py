"""gateway/routes.py and reading.py: what a table serves, reads and refuses."""

from collections.abc import AsyncIterator
from typing import Annotated

import asyncpg
import httpx
import pytest
from pydantic import Field
from starlette.requests import Request

from gateway.models import Answer, Given, GivenBody
from gateway.problems import Problem, unauthorized
from gateway.reading import MAX_BODY_BYTES
from gateway.routes import Call, Need, Operation, control_app
from ledger.errors import Conflict, InvalidInput, LedgerUnavailable, NotFound

pytestmark = pytest.mark.anyio


class Shown(Answer):
    said: str


class Asked(Given):
    number: Annotated[int, Field(ge=1)] = 1


class Wanted(GivenBody):
    amount: Annotated[int, Field(ge=1)]
    name: str | None = None
    more: dict[str, list[str]] | None = None


class Recorder:
    """A handler that keeps what it was called with, or raises what it was told."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.error: Exception | None = None

    async def __call__(self, call: Call) -> Shown:
        self.calls.append(call)
        if self.error:
            raise self.error
        return Shown(said="done")


class Only:
    """Lets in whoever says the word."""

    async def __call__(self, request: Request, need: Need) -> object:
        if need != "nobody" and request.headers.get("word") != need:
            raise unauthorized("key-missing", "Say the word.")
        return need


@pytest.fixture
def handler() -> Recorder:
    return Recorder()


@pytest.fixture
async def client(handler: Recorder) -> AsyncIterator[httpx.AsyncClient]:
    def row(method: str, path: str, **more) -> Operation:
        return Operation(
            method=method, path=path, name=f"{method} {path}", summary="", handler=handler,
            answer=Shown, **{"need": "nobody", **more},
        )  # fmt: skip

    table = (
        row("GET", "/things/{thing}", query=Asked),
        row("POST", "/things/{thing}", body=Wanted, status=201),
        row("POST", "/either", body=Wanted, text_body="text/csv"),
        row("GET", "/closed", need="admin"),
    )
    app = control_app(table, object(), Only(), prefix=lambda: "/farebox")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
        yield client


async def post(client: httpx.AsyncClient, content: bytes, media: str = "application/json"):
    return await client.post("/things/a", content=content, headers={"content-type": media})


async def test_a_call_reaches_its_handler_with_path_query_and_caller(client, handler) -> None:
    response = await client.get("/things/a%20b?number=3")

    assert response.json() == {"said": "done"}
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["date"].endswith("GMT")
    [call] = handler.calls
    assert (call.path["thing"], call.query.number, call.body) == ("a b", 3, None)


async def test_a_body_reaches_its_handler_as_its_model(client, handler) -> None:
    response = await post(client, b'{"amount": 5}')

    assert response.status_code == 201
    assert handler.calls[0].body == Wanted(amount=5)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b'{"amount": 0}', "amount"),
        (b'{"amount": "5"}', "amount"),
        (b'{"amount": 5.0}', "amount"),
        (b'{"amount": true}', "amount"),
        (b"{}", "amount"),
        (b'{"amount": 5, "colour": 1}', "colour"),
        (b'{"amount": 5, "amount": 6}', "amount"),
        (b"[]", "body"),
        (rb'{"amount": 5, "name": "a\u0000"}', "name"),
        (rb'{"amount": 5, "more": {"a": ["\u0000"]}}', "more"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_done(client, handler, content, field) -> None:
    response = await post(client, content)

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert handler.calls == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"amount": NaN}', b'"\xff"', b"[" * 100_000])
async def test_what_is_not_json_is_refused(client, handler, content) -> None:
    response = await post(client, content)

    assert (response.status_code, handler.calls) == (400, [])
    assert response.json()["type"] == "/farebox/problems/bad-request"


async def test_a_body_of_another_type_is_refused(client, handler) -> None:
    response = await post(client, b"amount=5", "application/x-www-form-urlencoded")

    assert (response.status_code, handler.calls) == (415, [])


async def test_a_text_body_arrives_as_it_was_sent(client, handler) -> None:
    headers = {"content-type": "text/csv; charset=utf-8"}
    await client.post("/either", content=b"a,b\n", headers=headers)
    await client.post("/either", json={"amount": 5})

    assert [call.body for call in handler.calls] == [b"a,b\n", Wanted(amount=5)]


async def test_a_body_above_the_limit_is_refused(client, handler) -> None:
    response = await post(client, b" " * (MAX_BODY_BYTES + 1))

    assert (response.status_code, handler.calls) == (413, [])


@pytest.mark.parametrize("query", ["number=0", "number=x", "colour=1", "number=1&number=2"])
async def test_a_wrong_query_is_refused(client, handler, query) -> None:
    response = await client.get(f"/things/a?{query}")

    assert (response.status_code, handler.calls) == (422, [])
    assert response.json()["errors"][0]["message"]


async def test_an_unknown_path_is_404_and_an_unknown_method_405(client) -> None:
    missing, wrong = await client.get("/nowhere"), await client.delete("/things/a")

    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert missing.json()["charged"] == wrong.json()["charged"] == 0


async def test_nothing_is_read_or_done_for_a_stranger(client, handler) -> None:
    stranger = await client.get("/closed?colour=1")
    friend = await client.get("/closed", headers={"word": "admin"})

    assert (stranger.status_code, friend.status_code) == (401, 200)
    assert stranger.headers["www-authenticate"].startswith("Bearer")
    assert len(handler.calls) == 1


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (InvalidInput("name", "choose another"), 422, "invalid-input"),
        (NotFound("no such thing"), 404, "not-found"),
        (Conflict("already-refunded", "nothing is left to refund"), 409, "already-refunded"),
        (LedgerUnavailable("Postgres is down"), 503, "ledger-unavailable"),
        (OSError("no route to host"), 503, "ledger-unavailable"),
        (asyncpg.CannotConnectNowError("starting up"), 503, "ledger-unavailable"),
        (asyncpg.AdminShutdownError("shutting down"), 503, "ledger-unavailable"),
        (asyncpg.TooManyConnectionsError("full"), 503, "ledger-unavailable"),
        (Problem("scope-missing", "no"), 403, "scope-missing"),
        (ZeroDivisionError("a secret"), 500, "internal-error"),
    ],
)
async def test_an_error_becomes_a_problem(client, handler, error, status, name) -> None:
    handler.error = error

    response = await client.get("/things/a")

    assert response.status_code == status
    assert response.json()["type"] == f"/farebox/problems/{name}"
    assert "secret" not in response.text
