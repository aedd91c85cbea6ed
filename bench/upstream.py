"""
The backend behind every peer: an nginx, for nothing that is cheaper answers as fast.

It counts what it answered (`stub_status`), so what a gateway charged can be compared with it.
"""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

ANSWER = '{"answer": "' + "x" * 177 + '"}'
"""191 bytes, a small JSON answer."""


@dataclass(frozen=True)
class Upstream:
    url: str
    status_url: str
    pid: int
    """Of the master, whose children answer."""

    tls_url: str = ""
    """The same behind TLS, where an authority was given."""

    def answered(self) -> int:
        """Requests so far, without those that ask for this."""
        with urllib.request.urlopen(self.status_url, timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(r"\n (\d+) (\d+) (\d+) ", text)
        assert found, text
        return int(found[3])


# Started by root it would give its workers to nobody, who may not open our folders and sockets.
_USER = "user root; " if os.geteuid() == 0 else ""


def nginx_missing() -> str | None:
    """Return what to do where it is not there."""
    if shutil.which("nginx"):
        return None
    return "nginx is missing: apt install nginx-light libnginx-mod-http-lua lua-nginx-redis"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def nginx(folder: Path, main: str, http: str, *, port: int) -> AsyncIterator[int]:
    """Run an nginx of our own as long as the block runs; gives the master's process id."""
    folder.mkdir(parents=True)
    file = folder / "nginx.conf"
    paths = "".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file.write_text(
        f"{main}\n{_USER}daemon off; worker_processes 1; pid {folder}/pid;"
        f" error_log {folder}/error.log;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; {paths}\n"
        f"{http}\n}}\n"
    )
    process = subprocess.Popen(
        ["nginx", "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")]
    )
    try:
        await listening(port, process)
        yield process.pid
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


@asynccontextmanager
async def upstream(folder: Path, authority: trustme.CA | None = None) -> AsyncIterator[Upstream]:
    """Run it; with an authority behind TLS as well, with a certificate of that one."""
    port = free_port()
    listen, url = f"listen 127.0.0.1:{port};", f"http://127.0.0.1:{port}"
    tls_url = ""
    if authority is not None:
        tls_port, file = free_port(), folder.with_name(f"{folder.name}.pem")
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(file))
        listen += f" listen 127.0.0.1:{tls_port} ssl; ssl_certificate {file};"
        listen += f" ssl_certificate_key {file};"
        tls_url = f"https://localhost:{tls_port}"
    http = (
        f"server {{ {listen} default_type application/json;"
        f" location / {{ return 200 '{ANSWER}'; }}"
        " location = /status { stub_status; } }"
    )
    async with nginx(folder, "", http, port=port) as master:
        yield Upstream(url, f"{url}/status", master, tls_url)


async def listening(port: int, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.poll() is None, "it did not start"
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
