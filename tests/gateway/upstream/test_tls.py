"""Upstreams behind TLS: verified, or not spoken to."""

import ssl
from pathlib import Path

import pytest
import trustme

from gateway.upstream import UpstreamClient, UpstreamRefused
from tests.gateway.upstream.test_conformance import fetch
from tests.upstreams import answer, misbehaving_upstream, read_request

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority known to nobody but these tests."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def test_a_certificate_of_ones_own_authority_is_accepted(
    client: UpstreamClient, server_side: ssl.SSLContext, ca_file: str
) -> None:
    async with misbehaving_upstream(
        [read_request(), answer(200, b"a")], tls=server_side
    ) as upstream:
        upstream.ca_file = ca_file
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
    client: UpstreamClient, server_side: ssl.SSLContext, ca_file: str
) -> None:
    async with misbehaving_upstream([read_request(), answer()], tls=server_side) as upstream:
        upstream.ca_file = ca_file
        with pytest.raises(UpstreamRefused, match=r"(?i)certificate"):
            await fetch(client, upstream)

    assert upstream.heads == []


async def test_the_name_in_the_url_is_asked_for(
    client: UpstreamClient, server_side: ssl.SSLContext, ca_file: str
) -> None:
    asked: list[str | None] = []

    def note(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        asked.append(name)

    server_side.sni_callback = note  # type: ignore[assignment]
    async with misbehaving_upstream([read_request(), answer()], tls=server_side) as upstream:
        upstream.ca_file = ca_file
        upstream.host = "localhost"

        await fetch(client, upstream)

    assert asked == ["localhost"]


async def test_a_file_of_authorities_that_is_not_there_trusts_nobody(
    own: UpstreamClient, server_side: ssl.SSLContext, tmp_path: Path
) -> None:
    async with misbehaving_upstream([read_request(), answer()], tls=server_side) as upstream:
        upstream.ca_file = str(tmp_path / "absent.pem")
        with pytest.raises(UpstreamRefused, match="certificates"):
            await fetch(own, upstream)

    assert upstream.heads == []
