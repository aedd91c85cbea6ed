"""
What finding a request's route and price costs, for 10 and for 1,000 routes, in one run.

    python -m bench.routes                     10, 100, 1,000 and 10,000 routes, in turns;
                                               then 1,000 with 100 plans

CPU of this process per request: canonical path, match, and the price before the call, as a worker
asks them. Routes are like those of a real API: literal, with `{x}`, with `*`, one beside the other,
and half of each kind priced by the query. Each round asks every size as many times, spread over all
its routes, so that a table beyond the processor's caches shows as well. The best round counts.

With plans each request is of an account on the next of them: its route, price and limits are those
of the plan, which multiplies all prices, has a fixed one for every 50th route, and a quota. What
plans make of routes is worked out when it is first asked for: `worked out` is the CPU for all of it
and what it takes in memory, once every route was called on every plan.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import described
from config import Match, PriceList, RequestFacts, canonical_path, load_price_list
from gateway.limits import limits_of
from gateway.plan_terms import PlanTerms
from ledger.plans import OnPlan

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


def with_plans(text: str, plans: int) -> str:
    """Add plans that have something to say of every route."""
    file = json.loads(text)
    file["plans"] = {
        f"plan{number}": {
            "factor": f"0.{500 + number}",
            "routes": {
                route["path"]: {"price": 3}
                for at, route in enumerate(file["routes"])
                if at % 50 == number % 50
            },
            "limits": {"per_account": {"quota": {"requests": 1000 + number, "per": "day"}}},
        }
        for number in range(plans)
    }
    return json.dumps(file)


@dataclass
class OnPlans:
    """A price list with plans, ready to be asked."""

    prices: PriceList
    terms: PlanTerms
    plans: list[OnPlan]
    loaded_s: float

    @classmethod
    def made(cls, text: str, count: int) -> "OnPlans":
        began = time.process_time()
        prices = load_price_list(with_plans(text, count), environ={})
        terms = PlanTerms(prices, [limits_of(prices, route) for route in prices.routes])
        loaded_s = time.process_time() - began
        return cls(prices, terms, [OnPlan(name) for name in prices.plans], loaded_s)

    def work_out(self) -> tuple[float, float]:
        """CPU in seconds, and MB more in memory, when every route was called on every plan."""
        gc.collect()
        before, began = resident_mb(), time.process_time()
        for plan in self.plans:
            for route in self.prices.routes:
                self.terms.on(plan, route)
        return time.process_time() - began, resident_mb() - before

    def asked(self, paths: Sequence[bytes], requests: int) -> float:
        """CPU per request, in microseconds; see `asked`."""
        headers: list[tuple[bytes, bytes]] = []
        plans, terms, prices = self.plans, self.terms, self.prices
        count, of = len(paths), len(plans)
        step = 7919 % count or 1
        at = 0
        began = time.process_time()
        for number in range(requests):
            at = (at + step) % count
            found = prices.match(b"GET", canonical_path(paths[at]))
            assert isinstance(found, Match)
            on = terms.on(plans[number % of], found.route)
            on.route.price.before(RequestFacts(found.params, b"n=30", headers, None, 0))
        return (time.process_time() - began) / requests * 1e6


def resident_mb() -> float:
    """What this process has in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


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
    options.add_argument("--plans", type=int, default=100)
    options.add_argument("--routes-on-plans", type=int, default=1_000)
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
    text, plan_paths = made(given.routes_on_plans)
    on_plans = OnPlans.made(text, given.plans) if given.plans else None
    worked_out = on_plans.work_out() if on_plans else (0.0, 0.0)
    best: dict[tuple[int, str], float] = {}
    planned: dict[str, float] = {}
    for _ in range(given.rounds):
        for kind in KINDS:
            if on_plans is not None:
                took = on_plans.asked(plan_paths[kind], given.requests)
                planned[kind] = min(took, planned.get(kind, took))
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
    if on_plans and first:
        average = sum(planned.values()) / len(planned)
        cells = "".join(f"{planned[kind]:9.2f} us" for kind in KINDS)
        print(
            f"{given.routes_on_plans:8}{cells}{average:9.2f} us{on_plans.loaded_s:10.2f} s"
            f"   {average / first:.2f} of {given.sizes[0]}, with {given.plans} plans"
        )
        print(
            f"{given.plans} plans on {given.routes_on_plans} routes worked out:"
            f" {worked_out[0]:.2f} s, {worked_out[1]:.0f} MB; a worker does so for what is called"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
