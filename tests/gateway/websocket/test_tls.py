"""WebSockets and requests to an upstream behind TLS, through the whole gateway."""

import ssl
from pathlib import Path

import pytest
import trustme

from tests.charging import Stores, charging
from tests.websockets import TEXT, connected, ws_backend

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams:
  trusted: { url: "{api}", ca_file: "CA_FILE" }
  unknown: { url: "{api}" }
routes:
  - { path: /live, upstream: trusted, websocket: true, price: 2 }
  - { path: /unknown, upstream: unknown, websocket: true, price: 2 }
  - { path: /plain, methods: [GET], upstream: unknown, price: 2 }
"""


async def test_a_websocket_goes_up_over_verified_tls_and_over_no_other(
    tmp_path: Path, database_url: str, redis_url: str, namespace: str
) -> None:
    authority = trustme.CA()
    ca_file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    prices = PRICES.replace("CA_FILE", str(ca_file))
    async with (
        ws_backend(tls=server_side) as backend,
        charging(
            Stores(database_url, redis_url, namespace),
            prices,
            upstream=backend.url.replace("127.0.0.1", "localhost"),
        ) as gateway,
    ):
        customer = await gateway.customer(credits=10)
        async with connected(gateway.url, "/live", customer.headers) as client:
            for size in (5, 70_000, 1 << 20):
                await client.send(TEXT, b"a" * size)
                assert await client.message() == b"a" * size
            assert await client.close() == (1000, "")
        async with connected(gateway.url, "/unknown", customer.headers) as client:
            assert (client.status, b"upstream-refused" in client.body) == (502, True)
        refused = await gateway.get("/plain", customer)
        assert refused.status_code == 502
        assert (await gateway.charge(refused)).reason == "upstream-refused"
        assert len(backend.heads) == 1
        assert await gateway.available(customer) == 8
