"""
An upstream behind TLS: CPU per request of Farebox beside nginx, each with and without.

The authority is made for the run; both verify by it, name the server (SNI) and keep connections.
"""

import asyncio

import trustme

from bench.found import Count, Found
from bench.peers import Peer
from bench.peers.farebox import gateway, peer, price_file
from bench.peers.nginx import proxying
from bench.run import Run
from bench.stage import stage
from bench.turns import in_turns, table
from bench.upstream import Upstream

CONNECTIONS = 32
OURS, THEIRS = "farebox, TLS", "nginx, TLS"
ROUTES = """
  - { path: /hello, upstream: api, price: 1 }
  - { path: /tls, upstream: behind, price: 1 }"""


async def tls(run: Run) -> Found:
    """Run both kinds of both gateways in turns."""
    authority = trustme.CA()
    ca_file = run.folder / "authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with stage(run.folder, authority) as shared:
        backend = shared.upstream
        behind = f'  behind: {{ url: "{backend.tls_url}", ca_file: "{ca_file}" }}\n'
        async with (
            gateway(run.folder, price_file(backend.url, ROUTES, behind)) as (served, headers),
            proxying(run.folder / "nginx", backend.url) as plain,
            proxying(run.folder / "nginx-tls", backend.tls_url, ca_file) as secured,
        ):
            peers = {
                OURS: peer(served, headers, "/tls"),
                THEIRS: secured,
                "farebox": peer(served, headers),
                "nginx": plain,
            }
            return await _compare(run, peers, backend)


async def _compare(run: Run, peers: dict[str, Peer], backend: Upstream) -> Found:
    run.say(f"{CONNECTIONS} connections, with TLS and without")
    [warm] = await in_turns(peers, backend, connections=[CONNECTIONS], rounds=1, seconds=1)
    [seen] = await in_turns(
        peers, backend, connections=[CONNECTIONS], rounds=run.rounds, seconds=run.seconds
    )
    us = {name: rounds.us_per_request for name, rounds in seen.items()}
    ours = ("farebox", OURS)
    charged = peers[OURS].charged
    assert charged is not None
    slack = len(ours) * CONNECTIONS * (run.rounds + 1)
    return Found(
        said="The same answer from a backend behind TLS, verified by its own authority, beside"
        " nginx with `proxy_pass` to it; below, both without TLS in the same run.",
        tables=[table(f"TLS to the backend, {CONNECTIONS} connections", seen, OURS)],
        figures={},
        counts=[
            Count(
                f"units charged, of requests that reached the backend ({slack} may be under way"
                " when wrk leaves)",
                sum(found[name].forwarded for found in (warm, seen) for name in ours),
                await asyncio.to_thread(charged),
                slack,
            )
        ],
        notes=[
            f"TLS adds {us[OURS] - us['farebox']:.1f} µs to Farebox",
            f"TLS adds {us[THEIRS] - us['nginx']:.1f} µs to nginx",
        ],
    )
