"""A whole gateway, looked after from its admin's pages: prices edited, tried, live, a call charged."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.counting_backend import counting_backend
from tests.gateway.pages.admin.looking import Looking, text_of
from tests.served import Served, serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

LIMIT_S = 30.0
PRICES = """
version: 1
upstreams: { api: { url: "%s" } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 2, name: ok }
"""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with (
        counting_backend() as backend,
        serving(tmp_path, PRICES % backend.url, "--workers", "1") as running,
    ):
        yield running


async def test_a_price_is_edited_tried_published_and_charged(served: Served) -> None:
    token = served.admin_headers["Authorization"].partition(" ")[2]
    served.farebox("account", "create", "acme")
    key = served.farebox("key", "create", "acme")["key"]
    served.farebox("grant", "acme", "100")
    file = served.folder / "farebox.yaml"
    new = file.read_text().replace("price: 2", "price: 5")

    async with (
        httpx.AsyncClient(base_url=served.running.admin_url, timeout=30) as client,
        httpx.AsyncClient(base_url=served.url, timeout=30, headers={"x-api-key": key}) as caller,
    ):
        admin = Looking(client)
        assert (await admin.get("/")).status_code == 401
        assert (await admin.sign_in(token)).status_code == 303
        assert (await caller.get("/ok")).headers["farebox-cost"] == "2"
        await until(admin, "/charges", "2 credits")

        begun = await admin.send("/prices/edit", "/prices/edit", text=new, do="try")
        said = await until(admin, begun.headers["location"].removeprefix("/admin"), "Done")
        assert "1 recorded charge" in said

        await admin.done("/prices/edit", "/prices/edit", text=new, do="publish")
        assert file.read_text() == new
        async with asyncio.timeout(LIMIT_S):
            while (await caller.get("/ok")).headers["farebox-cost"] != "5":  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        system = text_of(await admin.get("/system"))
        assert "No gateway was seen" not in system
        assert "No open finding" in system
        # The public listener has none of it.
        assert (await caller.get("/admin/")).status_code == 404


async def until(admin: Looking, path: str, words: str) -> str:
    """What a page says once it says these words."""
    async with asyncio.timeout(LIMIT_S):
        while words not in (said := text_of(await admin.get(path))):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return said
