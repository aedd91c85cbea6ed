"""Our own routes, as a worker has them: opened when they are first asked for."""

from collections.abc import AsyncIterator

import httpx
import pytest

from ledger.errors import LedgerUnavailable
from tests.charging import Charging, Stores, charging

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "{api}" } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 2 }
"""
CHANGES = {"date"}


@pytest.fixture
async def gateway(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Charging]:
    async with charging(Stores(database_url, redis_url, namespace), PRICES) as running:
        yield running


def shown(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """An answer without what differs from one to the next."""
    headers = {name: value for name, value in answer.headers.items() if name not in CHANGES}
    return answer.status_code, headers, answer.content


async def test_probes_answer_alike_before_and_after_the_routes_are_open(gateway: Charging) -> None:
    control = gateway.app._control
    asked = [(method, path) for method in ("GET", "HEAD") for path in ("/livez", "/readyz")]
    before = [shown(await gateway.ask(method, f"/farebox{path}")) for method, path in asked]
    assert control._routes is None
    assert (await gateway.get("/farebox/openapi.json")).status_code == 200
    assert control._routes is not None
    after = [shown(await gateway.ask(method, f"/farebox{path}")) for method, path in asked]
    assert before == after
    assert before[0][0] == before[1][0] == 200


async def test_a_probe_that_is_refused_is_refused_alike(
    gateway: Charging, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise LedgerUnavailable("Redis does not answer: connect call failed ('10.0.0.3', 6379)")

    monkeypatch.setattr(gateway.ledger, "ready", away)
    before = await gateway.get("/farebox/readyz")
    assert gateway.app._control._routes is None
    await gateway.get("/farebox/openapi.json")
    after = await gateway.get("/farebox/readyz")
    assert before.status_code == after.status_code == 503
    assert {**before.json(), "instance": ""} == {**after.json(), "instance": ""}
    assert before.headers["content-type"] == after.headers["content-type"]


async def test_a_probe_asked_otherwise_is_answered_by_the_routes(gateway: Charging) -> None:
    assert (await gateway.ask("POST", "/farebox/livez")).status_code == 405
    assert (await gateway.get("/farebox/livez?x=1")).status_code == 422


async def test_routes_that_could_not_be_opened_are_opened_with_the_next_request(
    gateway: Charging, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = gateway.app._control
    opens = control._open_billing

    async def away() -> None:
        raise ConnectionRefusedError("10.0.0.3")

    monkeypatch.setattr(control, "_open_billing", away)
    refused = await gateway.get("/farebox/v1/packages")
    assert refused.status_code == 503
    assert refused.json()["type"] == "/farebox/problems/ledger-unavailable"
    assert "10.0.0.3" not in refused.text
    monkeypatch.setattr(control, "_open_billing", opens)
    assert (await gateway.get("/farebox/v1/packages")).status_code == 200
