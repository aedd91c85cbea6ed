"""Upstreams behind TLS: verified, or not spoken to."""

import ssl
from pathlib import Path

import pytest

from gateway.upstream import UpstreamClient, UpstreamRefused
from tests.gateway.upstream.test_conformance import fetch
from tests.upstreams import answer, misbehaving_upstream, read_request

pytestmark = pytest.mark.anyio

# A certificate for localhost that signs itself; known to nobody but these tests.
FOLDER = Path(__file__).parent / "tls"
CERTIFICATE = FOLDER / "certificate.pem"


@pytest.fixture
def server_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, FOLDER / "key.pem")
    return context


async def test_a_certificate_of_ones_own_authority_is_accepted(
    client: UpstreamClient, server_side: ssl.SSLContext
) -> None:
    async with misbehaving_upstream(
        [read_request(), answer(200, b"a")], tls=server_side
    ) as upstream:
        upstream.ca_file = str(CERTIFICATE)
        upstream.host = "localhost"

        assert await fetch(client, upstream) == (200, b"a")


async def test_an_unknown_authority_is_refused(
    client: UpstreamClient, server_side: ssl.SSLContext
) -> None:
    async with misbehaving_upstream([read_request(), answer()], tls=server_side) as upstream:
        with pytest.raises(UpstreamRefused, match=r"(?i)certificate"):
            await fetch(client, upstream)

    assert upstream.heads == []


async def test_a_certificate_for_another_name_is_refused(
    client: UpstreamClient, server_side: ssl.SSLContext
) -> None:
    async with misbehaving_upstream([read_request(), answer()], tls=server_side) as upstream:
        upstream.ca_file = str(CERTIFICATE)
        with pytest.raises(UpstreamRefused, match=r"(?i)certificate"):
            await fetch(client, upstream)

    assert upstream.heads == []
