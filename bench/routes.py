"""
What finding a request's route and price costs, for 10 and for 1,000 routes, in one run.

    python -m bench.routes                     10, 100, 1,000 and 10,000 routes, in turns

CPU of this process per request: canonical path, match, and the price before the call, as a worker
asks them. Routes are like those of a real API: literal, with `{x}`, with `*`, one beside the other,
and half of each kind priced by the query. Each round asks every size as many times, spread over all
its routes, so that a table beyond the processor's caches shows as well. The best round counts.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence

from bench.machine import described
from config import Match, PriceList, RequestFacts, canonical_path, load_price_list

SIZES = (10, 100, 1_000, 10_000)
REQUESTS = 20_000
KINDS = ("literal", "{x}", "{x} inside", "*", "{x} or me")


def made(count: int) -> tuple[str, dict[str, list[bytes]]]:
    """Make a price file with so many routes, and by kind the paths that requests for it have."""
    paths: dict[str, list[bytes]] = {kind: [] for kind in KINDS}
    routes = []
    for number in range(count):
        kind = KINDS[number // 2 % len(KINDS)]
        begin = f"/v1/area{number % 20}/thing{number}"
        path, asked = {
            "literal": (begin, begin),
            "{x}": (f"{begin}/{{id}}", f"{begin}/4711"),
            "{x} inside": (f"{begin}/{{id}}/parts", f"{begin}/4711/parts"),
            "*": (f"{begin}/files/*", f"{begin}/files/a/b"),
            # Beside a literal, where a path must not be the literal in another spelling.
            "{x} or me": (
                f"/v1/two{number // 2}/{'me' if number % 2 else '{id}'}",
                f"/v1/two{number // 2}/4711",
            ),
        }[kind]
        price: object = 1 + number % 5
        if number % 2:
            price = {"flat": 1, "per": [{"query": "n", "unit": 10, "cost": 1, "default": 1}]}
        routes.append({"path": path, "methods": ["GET"], "upstream": "api", "price": price})
        paths[kind].append(asked.encode())
    file = {"version": 1, "upstreams": {"api": {"url": "http://127.0.0.1:9"}}, "routes": routes}
    return json.dumps(file), paths


def asked(prices: PriceList, paths: Sequence[bytes], requests: int) -> float:
    """CPU per request, in microseconds."""
    headers: list[tuple[bytes, bytes]] = []
    count = len(paths)
    step = 7919 % count or 1  # another route each time, in no order that a cache would like
    at = 0
    began = time.process_time()
    for _ in range(requests):
        at = (at + step) % count
        found = prices.match(b"GET", canonical_path(paths[at]))
        assert isinstance(found, Match)
        found.route.price.before(RequestFacts(found.params, b"n=30", headers, None, 0))
    return (time.process_time() - began) / requests * 1e6


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench.routes")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options.add_argument("--requests", type=int, default=REQUESTS, help="of a kind in each round")
    given = options.parse_args()
    for name, value in described().items():
        if name in {"machine", "python", "load before"}:
            print(f"{name}: {value}")
    lists: dict[int, tuple[PriceList, dict[str, list[bytes]]]] = {}
    loading: dict[int, float] = {}
    for size in given.sizes:
        text, paths = made(size)
        began = time.process_time()
        lists[size] = load_price_list(text, environ={}), paths
        loading[size] = time.process_time() - began
    best: dict[tuple[int, str], float] = {}
    for _ in range(given.rounds):
        for size, (prices, paths) in lists.items():
            for kind in KINDS:
                took = asked(prices, paths[kind], given.requests)
                best[size, kind] = min(took, best.get((size, kind), took))
    print(
        f"{'routes':>8}"
        + "".join(f"{kind:>12}" for kind in KINDS)
        + f"{'average':>12}{'loaded in':>12}"
    )
    first: float | None = None
    for size in given.sizes:
        row = [best[size, kind] for kind in KINDS]
        average = sum(row) / len(row)
        first = first or average
        cells = "".join(f"{took:9.2f} us" for took in row)
        print(
            f"{size:8}{cells}{average:9.2f} us{loading[size]:10.2f} s"
            f"   {average / first:.2f} of {given.sizes[0]}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
