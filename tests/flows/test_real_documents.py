"""A small and a large API: imported, priced, checked, served, each operation at its own price."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from config import load_price_list
from gateway.commands.group import run
from tests.charging import Stores, charging
from tests.gateway.serving import serving
from tests.real_documents import Operation, operations_of, petstore, stripe_api

pytestmark = pytest.mark.anyio

AT_ONCE = 16


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


async def echo(request: Request) -> JSONResponse:
    """Say what was asked: what is charged must be what the backend saw."""
    return JSONResponse({"method": request.method, "path": request.url.path})


def priced(text: str) -> str:
    """Give each route a price of its own."""
    prices = iter(range(1, 10_000))
    return re.sub(
        r"price: unpriced", lambda _: f"price: {next(prices)}", text.replace("observe: true\n", "")
    )


def prices_by_operation(text: str) -> dict[tuple[str, str], int]:
    routes = yaml.safe_load(text)["routes"]
    return {(method, one["path"]): one["price"] for one in routes for method in one["methods"]}


@pytest.mark.parametrize(
    ("document", "base", "operations"),
    [(petstore(), "/api/v3", 19), (stripe_api(), "", 600)],
    ids=["petstore", "stripe"],
)
async def test_every_operation_is_imported_priced_checked_and_served(  # noqa: PLR0917
    stores: Stores, tmp_path: Path, capsys: Any, document: Any, base: str, operations: int
) -> None:
    source, file = tmp_path / "openapi.json", tmp_path / "farebox.yaml"
    source.write_text(json.dumps(document, indent=1))
    asked = operations_of(document)
    assert len(asked) >= operations
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "PUT", "DELETE"])])
    async with serving(app) as backend:

        def typed(*words: str) -> tuple[int, str]:
            code = run([*words])
            return code, capsys.readouterr().out

        imported = ("import", str(source), "--upstream", f"{backend}{base}", "--config", str(file))
        assert (await asyncio.to_thread(typed, *imported))[0] == 0
        code, said = await asyncio.to_thread(typed, "check", str(file), "--openapi", str(source))
        assert (code, said.count("has no price: not priced yet")) == (1, len(asked))
        text = priced(file.read_text())
        file.write_text(text)
        code, said = await asyncio.to_thread(typed, "check", str(file), "--openapi", str(source))
        assert code == 0, said
        assert f"All {len(asked)} operations of {source} have a price." in said

        assert not load_price_list(text, environ={}).unpriced
        by_operation = prices_by_operation(text)
        async with charging(stores, text, upstream=backend) as gateway:
            customer = await gateway.customer(credits=1_000_000)
            room = asyncio.Semaphore(AT_ONCE)

            async def call(operation: Operation) -> int:
                method, template, name = operation
                path = re.sub(r"\{\w+\}", "one", template)
                async with room:
                    answer = await gateway.ask(method, path, customer)
                assert (answer.status_code, name) == (200, name)
                assert answer.json() == {"method": method, "path": f"{base}{path}"}
                cost = int(answer.headers["farebox-cost"])
                assert (cost, name) == (by_operation[method, template], name)
                return cost

            costs = await asyncio.gather(*map(call, asked))
            assert len(set(costs)) == len(asked)
            assert await gateway.available(customer) == 1_000_000 - sum(costs)
            assert (await gateway.ask("PATCH", "/nothing/like/this", customer)).status_code == 404
