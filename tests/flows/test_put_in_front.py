"""From an API that is live to one that is paid: put in front, watched, priced, switched on."""

import asyncio
import json
import re
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from os import kill
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import pytest

from tests.httpbin_server import httpbin_document, httpbin_server, sample_requests
from tests.served import Served, children_of, command, farebox, funded, serving

pytestmark = pytest.mark.anyio

PRICE = 2
ALIVE = frozenset({200, 204, 304})


async def until(look: Callable[[], Awaitable[Any]], limit_s: float = 60) -> Any:
    """Look again and again until it is true."""
    async with asyncio.timeout(limit_s):
        while not (found := await look()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
        return found


async def asked(
    url: str, requests: list[tuple[str, str]], headers: dict[str, str] | None = None
) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=url, timeout=30, headers=headers) as client:
        return [await client.request(method, path) for method, path in requests]


def typed(folder: Path, *words: str) -> CompletedProcess[str]:
    return farebox(*words, folder=folder)


async def shown(served: Served, path: str, **query: str) -> Any:
    """What the admin listener answers."""
    async with httpx.AsyncClient(headers=served.admin_headers) as client:
        url = f"{served.running.admin_url}/admin/v1/{path}"
        return (await client.get(url, params=query)).raise_for_status().json()


async def in_force(served: Served, text: str, key: dict[str, str], *, observed: bool) -> None:
    """Change the price file, and wait until requests are priced by it."""
    (served.folder / "farebox.yaml").write_text(text)
    async with httpx.AsyncClient(base_url=served.url, headers=key) as client:

        async def taken() -> bool:
            query = {"method": "GET", "path": "/get"}
            quote = (await client.get("/farebox/v1/quote", params=query)).json()
            return (quote["cost"], quote["observed"]) == (PRICE, observed)

        await until(taken)


async def reported(served: Served, requests: int) -> dict[str, Any]:
    """The report, once all of these requests are in it."""

    async def complete() -> dict[str, Any] | None:
        report = await shown(served, "observed")
        return report if report["requests"] == requests else None

    found: dict[str, Any] = await until(complete)
    return found


async def test_a_live_api_is_put_in_front_watched_priced_and_switched_on(folder: Path) -> None:
    """httpbin, with all its operations, as its own document describes them."""
    document = httpbin_document()
    requests = sample_requests(document)
    assert len(requests) > 70
    (folder / "openapi.json").write_text(json.dumps(document, indent=1))
    with httpbin_server(folder) as backend:
        direct = [answer.status_code for answer in await asked(backend, requests)]
        done = typed(
            *(folder, "import", "openapi.json"),
            *("--upstream", backend, "--config", "first.yaml", "--json"),
        )
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        assert (made["routes"], len(made["skipped"])) == (len(requests), 5)  # TRACE is not served
        unpriced = (folder / "first.yaml").read_text()
        priced = unpriced.replace("price: unpriced", f"price: {PRICE}")
        charging = re.sub(r"(?m)^observe: true$", "", priced)
        count = len(requests)

        async with serving(folder, unpriced) as served:
            # Watched: nothing differs, and nobody needs a key.
            answers = await asked(served.url, requests)
            assert [answer.status_code for answer in answers] == direct
            [total] = (await reported(served, count))["types"]
            assert total["unpriced"] == [{"reason": "no-price", "limit": None, "requests": count}]
            assert total["refused"] == [{"reason": "key-missing", "limit": None, "requests": count}]
            told = typed(folder, "check", "--openapi", "openapi.json", "--json")
            gaps = json.loads(told.stdout)["openapi"]
            assert (told.returncode, len(gaps["without_price"])) == (1, count)

            # Priced: what it would come to, with a caller who has too little.
            key = await funded(served, PRICE * 10)
            await in_force(served, priced, key, observed=True)
            checked = typed(folder, "check", "--openapi", "openapi.json")
            assert checked.returncode == 0, checked.stdout
            answers = await asked(served.url, requests, key)
            assert [answer.status_code for answer in answers] == direct
            assert {answer.headers["farebox-cost"] for answer in answers} == {"0"}
            report = await reported(served, 2 * count)
            mine = next(row for row in report["accounts"] if row["external_id"] == "acme")
            paid = [status for status in direct if status in ALIVE]
            assert (mine["charged"], mine["charge"]) == (10, PRICE * 10)
            assert mine["cost"] == PRICE * len(paid)
            assert mine["available"] == PRICE * 10
            assert [row["external_id"] for row in report["dry"]] == ["acme"]
            words = typed(folder, "observed")
            assert words.returncode == 0
            assert "would have run dry:" in words.stdout

            # Switched on: charged, and refused without a key or credits.
            await command(served, "grant", "acme", str(PRICE * (len(paid) - 10)))
            await in_force(served, charging, key, observed=False)
            refused = await asked(served.url, requests)
            assert {answer.status_code for answer in refused} == {401}
            answers = await asked(served.url, requests, key)
            assert [answer.status_code for answer in answers] == direct
            costs = [answer.headers["farebox-cost"] for answer in answers]
            assert costs == [str(PRICE) if status in ALIVE else "0" for status in direct]
            assert (await asked(served.url, [("GET", "/get")], key))[0].status_code == 402


@contextmanager
def paused(*pids: int) -> Iterator[None]:
    """Stop processes for as long as the block runs: they are there, and say nothing."""
    stopped: list[int] = []
    try:
        for pid in pids:
            kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            kill(pid, signal.SIGCONT)


async def test_nothing_watched_is_refused_while_both_stores_are_dumb(folder: Path) -> None:
    with httpbin_server(folder) as backend:
        prices = f"""
version: 1
observe: true
upstreams: {{ api: {{ url: "{backend}" }} }}
routes: [{{ path: "/*", upstream: api, price: 5 }}]
"""
        async with serving(folder, prices) as served:
            key = await funded(served, 1)
            other = {"X-Api-Key": (await command(served, "key", "create", "acme"))["key"]}
            assert (await asked(served.url, [("GET", "/get")], key))[0].status_code == 200
            postgres = served.store_pid("postgres")
            dumb = [postgres, *children_of(postgres), served.store_pid("valkey")]
            with paused(*dumb):
                calls = [asked(served.url, [("GET", "/get")] * 5, one) for one in (key, other, {})]
                answers = [answer for found in await asyncio.gather(*calls) for answer in found]
            assert [answer.status_code for answer in answers] == [200] * 15
            assert {answer.headers["farebox-cost"] for answer in answers} == {"0"}
