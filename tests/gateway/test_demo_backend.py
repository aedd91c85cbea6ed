"""The demo's backend: one route of each kind a gateway must carry."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.demo.backend import demo_backend

pytestmark = pytest.mark.anyio


@pytest.fixture
async def backend() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(demo_backend())
    async with httpx.AsyncClient(transport=transport, base_url="http://backend") as client:
        yield client


async def test_it_answers_json(backend: httpx.AsyncClient) -> None:
    answer = await backend.get("/v1/products/B000123456")
    assert answer.json()["asin"] == "B000123456"


async def test_a_search_gives_as_many_results_as_asked(backend: httpx.AsyncClient) -> None:
    answer = await backend.post("/v1/search", json={"limit": 7})
    assert len(answer.json()["results"]) == 7


async def test_a_chat_says_its_usage_at_the_end(backend: httpx.AsyncClient) -> None:
    answer = await backend.post("/v1/chat", json={"prompt": "three short words"})
    assert answer.json() == {"answer": "three short words", "usage": {"total_tokens": 300}}


async def test_a_streamed_chat_has_its_usage_in_the_last_event(backend: httpx.AsyncClient) -> None:
    answer = await backend.post("/v1/chat", json={"prompt": "two words", "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert events == [{"delta": "two"}, {"delta": "words"}, {"usage": {"total_tokens": 200}}]


async def test_a_failing_route_fails_as_asked(backend: httpx.AsyncClient) -> None:
    assert (await backend.get("/v1/failing")).status_code == 500
    assert (await backend.get("/v1/failing?status=404")).status_code == 404


async def test_a_download_has_exactly_the_bytes_asked(backend: httpx.AsyncClient) -> None:
    answer = await backend.get("/v1/download?bytes=100001")
    assert answer.headers["content-length"] == "100001"
    assert answer.content == (bytes(range(256)) * 400)[:100_001]


async def test_events_come_one_by_one(backend: httpx.AsyncClient) -> None:
    answer = await backend.get("/v1/events?count=2")
    assert answer.text == 'data: {"number": 1}\n\ndata: {"number": 2}\n\n'


@pytest.mark.parametrize(
    "target",
    [
        "/v1/slow?seconds=x",
        "/v1/slow?seconds=61",
        "/v1/download?bytes=-1",
        "/v1/failing?status=200",
    ],
)
async def test_input_that_makes_no_sense_is_422(backend: httpx.AsyncClient, target: str) -> None:
    assert (await backend.get(target)).status_code == 422


async def test_a_body_that_is_not_json_is_422(backend: httpx.AsyncClient) -> None:
    assert (await backend.post("/v1/search", content=b"{")).status_code == 422
    assert (await backend.post("/v1/search", content=b"[1]")).status_code == 422
