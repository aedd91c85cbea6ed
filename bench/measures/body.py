"""
A POST whose JSON body says what it costs: CPU per request, beside nginx + Lua that reads it too.

The peer finds the limit by a pattern and never parses the body; Farebox parses all of it, refuses
what is no JSON, and passes on the bytes as they came.
"""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from bench.found import Found
from bench.peers import Peer, Stage
from bench.peers.farebox import gateway, peer, price_file
from bench.peers.nginx import lua_missing, nginx_lua, proxying
from bench.run import Run
from bench.stage import stage
from bench.turns import charged, in_turns, table

CONNECTIONS = 32
LIMIT, PRICE = 250, 4
"""1, and 1 for each 100 begun."""

ROUTE = """
  - path: /hello
    methods: [POST]
    upstream: api
    price: { flat: 1, per: [{ body: /limit, unit: 100, cost: 1, default: 1 }], max: 50 }"""

BODY = (
    '{"query": "wireless headphones with noise cancelling", "fields": ["asin", "title",'
    ' "price", "rating", "availability"], "filter": {"category": "electronics", "price":'
    ' {"from": 2500, "to": 19900}, "in_stock": true}, "sort": [{"by": "rating", "order":'
    f' "desc"}}], "limit": {LIMIT}, "offset": 0, "locale": "en-GB"}}'
)


async def body(run: Run) -> Found:
    """Run the gateways in turns with the same body."""
    script = run.folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = [[{BODY}]]\n"
    )
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(stage(run.folder))
        prices = price_file(shared.upstream.url, ROUTE)
        served, headers = await stack.enter_async_context(gateway(run.folder, prices))
        peers = {"farebox": peer(served, headers, script=script)}
        if lua_missing() is None:
            lua = await stack.enter_async_context(nginx_lua(shared, "billing.hold_by_body()"))
            peers["nginx+lua"] = posting(lua, script)
        plain = await stack.enter_async_context(proxying(run.folder / "nginx", shared.upstream.url))
        peers["nginx"] = posting(plain, script)
        return await _compare(run, peers, shared)


async def _compare(run: Run, peers: dict[str, Peer], shared: Stage) -> Found:
    run.say(f"{CONNECTIONS} connections")
    [warm] = await in_turns(peers, shared.upstream, connections=[CONNECTIONS], rounds=1, seconds=1)
    [seen] = await in_turns(
        peers,
        shared.upstream,
        connections=[CONNECTIONS],
        rounds=run.rounds,
        seconds=run.seconds,
    )
    forwarded = {name: warm[name].forwarded + seen[name].forwarded for name in peers}
    slack = CONNECTIONS * (run.rounds + 1)
    return Found(
        said=f"A POST of {len(BODY)} bytes of JSON, priced by one of its members ({PRICE} units)."
        " nginx + Lua reads the body and finds the member by a pattern, holds and settles as"
        " before; nginx alone passes it on.",
        tables=[table(f"POST with a priced body, {CONNECTIONS} connections", seen)],
        counts=await charged(peers, forwarded, price=PRICE, slack=slack),
    )


def posting(one: Peer, script: Path) -> Peer:
    """Let wrk send the body to it."""
    return replace(one, script=script)
