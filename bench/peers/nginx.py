"""nginx as the floor, without billing, and with Lua and Redis, as a good engineer would do it."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import redis

from bench.peers.peer import Peer, Stage
from bench.processes import children_of
from bench.upstream import free_port, nginx

HERE = Path(__file__).parent
MODULES = Path("/usr/lib/nginx/modules")
PLENTY = 1_000_000_000_000


def lua_missing() -> str | None:
    """Return what to do where nginx has no Lua, or Lua no Redis client."""
    module = MODULES / "ngx_http_lua_module.so"
    client = Path("/usr/share/lua/5.1/nginx/redis.lua")
    if module.exists() and client.exists():
        return None
    return "nginx has no Lua or no Redis client: apt install libnginx-mod-http-lua lua-nginx-redis"


@asynccontextmanager
async def nginx_proxy(stage: Stage) -> AsyncIterator[Peer]:
    async with proxying(stage.folder / "nginx-proxy", stage.upstream.url) as peer:
        yield peer


@asynccontextmanager
async def proxying(folder: Path, url: str, ca_file: Path | None = None) -> AsyncIterator[Peer]:
    """Pass everything on to `url`, which is verified by that authority where it is behind TLS."""
    port = free_port()
    passed = _PASS
    if ca_file is not None:
        passed = passed.replace("http://", "https://") + (
            f" proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca_file};"
            " proxy_ssl_name localhost; proxy_ssl_server_name on;"
        )
    server = url.partition("://")[2].replace("localhost", "127.0.0.1")
    http = f"{_backend(server)} server {{ listen 127.0.0.1:{port}; location / {{ {passed} }} }}"
    async with nginx(folder, "", http, port=port) as master:
        yield Peer(f"http://127.0.0.1:{port}/hello", {}, children_of(master))


@asynccontextmanager
async def nginx_lua(stage: Stage, hold: str = "billing.hold(1)") -> AsyncIterator[Peer]:
    port, folder = free_port(), stage.folder / "nginx-lua"
    with redis.Redis(unix_socket_path=str(stage.redis_socket)) as client:
        hold_sha, settle_sha = install(client, "nginx+lua")
        server = stage.upstream.url.removeprefix("http://")
        names = ("ndk_http_module", "ngx_http_lua_module")
        main = "".join(f"load_module {MODULES}/{name}.so; " for name in names)
        http = (
            f'lua_package_path "{folder}/?.lua;/usr/share/lua/5.1/?.lua;;";'
            f" init_worker_by_lua_block {{ billing = require 'billing' }} {_backend(server)}"
            f" server {{ listen 127.0.0.1:{port}; location / {{"
            f" access_by_lua_block {{ {hold} }} log_by_lua_block {{ billing.settle() }}"
            f" {_PASS} }} }}"
        )
        text = (HERE / "nginx.lua").read_text()
        values = {"SOCKET": stage.redis_socket, "HOLD": hold_sha, "SETTLE": settle_sha}
        for name, value in values.items():
            text = text.replace(f"BENCH_{name}", f'"{value}"')
        library = stage.folder / "nginx-lua-code"
        library.mkdir()
        (library / "billing.lua").write_text(text)
        http = http.replace(f"{folder}/?.lua", f"{library}/?.lua")
        async with nginx(folder, main, http, port=port) as master:
            yield Peer(
                f"http://127.0.0.1:{port}/hello",
                {"X-Api-Key": "nginx+lua"},
                children_of(master),
                charged=lambda: PLENTY - int(client.hget("{b}balances", "nginx+lua") or 0),
            )


def install(client: redis.Redis, *names: str) -> tuple[str, str]:
    """Load the scripts, fund accounts of these names and keys; returns what they are called by."""
    client.hset("{b}keys", mapping={key_hash(name): name for name in names})
    client.hset("{b}balances", mapping=dict.fromkeys(names, str(PLENTY)))
    hold = client.script_load((HERE / "hold.lua").read_text())
    settle = client.script_load((HERE / "settle.lua").read_text())
    return str(hold), str(settle)


def key_hash(key: str) -> bytes:
    return hashlib.md5(key.encode()).digest()


def _backend(server: str) -> str:
    kept = "keepalive 512; keepalive_requests 1000000000;"
    return f"upstream backend {{ server {server}; {kept} }}"


_PASS = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://backend;'
