"""
HTTP/2 and TLS for clients: a real nginx with docs/nginx.conf in front of a real `farebox serve`.

Skipped where nginx, or a curl that speaks HTTP/2, is not installed.
"""

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from bench.upstream import free_port, nginx
from tests.counting_backend import CountingBackend, counting_backend
from tests.flows.load import captured_in, charges_of
from tests.served import Served, funded, serving
from tests.websockets import TEXT, WsBackend, connected, ws_backend

CONFIG = Path(__file__).parents[2] / "docs" / "nginx.conf"
LIMIT_S = 30

PRICES = """
version: 1
trusted_proxies: ["127.0.0.1"]
upstreams:
  api: { url: "${BACKEND}", timeout: 30s }
  echo: { url: "${ECHO}" }
routes:
  - { path: "/*", methods: [GET, POST], upstream: api, price: 1 }
  - { path: /live, upstream: echo, websocket: true, price: 1 }
"""


def lacking() -> str | None:
    """Why this cannot be shown here."""
    if not shutil.which("nginx"):
        return "nginx is not installed"
    built = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=False).stderr
    if "http_v2_module" not in built or "http_ssl_module" not in built:
        return "this nginx was built without HTTP/2 or TLS"
    if not shutil.which("curl"):
        return "curl is not installed"
    curl = subprocess.run(["curl", "-V"], capture_output=True, text=True, check=False).stdout
    return None if "HTTP2" in curl else "this curl speaks no HTTP/2"


REASON = lacking()
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


@dataclass
class Front:
    """nginx, Farebox behind it, and two backends behind that."""

    url: str
    ca_file: Path
    key: dict[str, str]
    served: Served
    backend: CountingBackend
    echo: WsBackend

    async def curl(self, *arguments: str, **headers: str) -> asyncio.subprocess.Process:
        """Start a curl that speaks HTTP/2 over verified TLS; nothing is read from its own settings."""
        sent = {**self.key, **headers}
        words = [word for name, value in sent.items() for word in ("-H", f"{name}: {value}")]
        return await asyncio.create_subprocess_exec(
            "curl", "-q", "--silent", "--show-error", "--http2", "--cacert", str(self.ca_file),
            *words, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def ask(self, *arguments: str, **headers: str) -> list[str]:
        """Run curl to its end; what it wrote, line by line."""
        process = await self.curl(*arguments, **headers)
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode().splitlines()

    async def charged(self, calls: int) -> None:
        """Wait until so many calls are charged, and those that a backend got."""
        async with asyncio.timeout(LIMIT_S):
            while len(captured_in(await charges_of(self.served))) < calls:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        seen = {*self.backend.served, *(head["farebox-request-id"] for head in self.echo.heads)}
        assert captured_in(await charges_of(self.served)) == seen
        assert set(self.backend.served.values()) <= {1}


@asynccontextmanager
async def in_front(folder: Path, served: Served) -> AsyncIterator[tuple[str, Path]]:
    """Run nginx with the documented configuration; gives its address and who signed for it."""
    authority = trustme.CA()
    ca_file, certificate, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(ca_file))
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(key))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(certificate), append=True)
    port = free_port()
    text = CONFIG.read_text()
    for ours, theirs in {
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "server 127.0.0.1:8000;": f"server {served.url.removeprefix('http://')};",
        "/etc/ssl/api.example.com.pem": str(certificate),
        "/etc/ssl/api.example.com.key": str(key),
    }.items():
        assert text.count(ours) == 1, ours
        text = text.replace(ours, theirs)
    async with nginx(folder / "nginx", "", text, port=port):
        yield f"https://localhost:{port}", ca_file


@pytest.fixture
async def front(folder: Path) -> AsyncIterator[Front]:
    async with counting_backend() as backend, ws_backend() as echo:
        variables = {"BACKEND": backend.url, "ECHO": echo.url}
        async with serving(folder, PRICES, variables=variables) as served:
            key = await funded(served, 1_000)
            async with in_front(folder, served) as (url, ca_file):
                yield Front(url, ca_file, key, served, backend, echo)


async def test_http_2_clients_are_served_and_charged_through_nginx(front: Front) -> None:
    # One request: its version, our headers, and who Farebox says was calling.
    version, *headers, body = await front.ask(
        "-D", "-", "-o", "-", f"{front.url}/echo?a=%2Fb", **{"X-Forwarded-For": "10.9.8.7"}
    )
    assert version.split() == ["HTTP/2", "200"]
    assert "farebox-cost: 1" in [line.lower() for line in headers]
    seen = json.loads(body)
    assert seen["target"] == "/echo?a=%2Fb"
    told = dict(seen["headers"])
    assert told["x-forwarded-for"] == "127.0.0.1, 127.0.0.1"  # the client, then nginx
    assert told["x-forwarded-proto"] == "https"
    assert told["x-forwarded-host"] == front.url.removeprefix("https://")

    # A body, and an error of ours.
    assert (await front.ask("-d", '{"text": "hi"}', f"{front.url}/chat")) == ['{"text": "hi"}']
    wrote = await front.ask("-w", "%{http_version} %{http_code}", "-o", "/dev/null",
                            f"{front.url}/ok", **{"X-Api-Key": "fbx_wrong"})  # fmt: skip
    assert wrote == ["2 401"]

    # Twenty streams at once on one connection.
    urls = [word for _ in range(20) for word in ("-o", "/dev/null", f"{front.url}/slow")]
    wrote = await front.ask(
        "--parallel", "-w", "%{http_version} %{http_code} %{num_connects}\n", *urls
    )
    answers = [line.split() for line in wrote]
    assert {tuple(answer[:2]) for answer in answers} == {("2", "200")}
    assert len(answers) == 20
    assert sum(int(answer[2]) for answer in answers) == 1

    # A stream: all but the last event arrive while the backend still holds the last one back.
    streaming = await front.curl("--no-buffer", f"{front.url}/gated")
    assert streaming.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        for _ in range(9):
            assert await streaming.stdout.readline() == b'data: {"usage": null}\n'
            assert await streaming.stdout.readline() == b"\n"
        front.backend.gate.set()
        rest, _ = await streaming.communicate()
    assert b"total_tokens" in rest

    # A WebSocket, which browsers open over HTTP/1.1 on a connection of its own.
    trusting = ssl.create_default_context(cafile=str(front.ca_file))
    async with connected(front.url, "/live", front.key, tls=trusting) as client:
        assert client.status == 101
        await client.send(TEXT, b"hello")
        assert await client.frame() == (TEXT, True, 0, b"hello")
        await client.close()

    await front.charged(1 + 1 + 20 + 1 + 1)
