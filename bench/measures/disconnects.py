"""
Clients that hang up at random moments, 10,000 of them: how many holds are left unsettled.

Each sends a request, whole or in part, over a socket of its own and breaks it off (a reset, not a
farewell) after a random time, some of them in the answer. The backend answers slowly, at once, or
as a stream, so that all stages are met. A hold that came back by its deadline counts as left
unsettled: it must have been ended by the gateway.
"""

import asyncio
import random
import socket
import struct
import time
from collections import Counter

from bench.found import Count, Found, Table
from bench.peers.farebox import gateway, price_file
from bench.run import Run
from ledger.books import ChargeState
from tests.counting_backend import CountingBackend, counting_backend
from tests.flows.load import captured_in, charges_of
from tests.served import Served

DISCONNECTS, QUICK_DISCONNECTS = 10_000, 2_000
AT_ONCE = 64
AFTER_S = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
MID_ANSWER_SHARE = 0.4
"""Of the requests sent whole: these wait for the first bytes, and are broken off in the answer."""

ANSWER_LIMIT_S, STREAM_S = 2.0, 0.02
SETTLED_LIMIT_S = 15
"""Well before any deadline (the upstream's time limit and 30 s): what is open then, was left."""

ROUTES = """
  - { path: /ok, methods: [GET, POST], upstream: api, price: 1 }
  - { path: /slow, methods: [GET, POST], upstream: api, price: 2 }
  - path: /sse
    methods: [GET]
    upstream: api
    price: { hold: 50, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 20 }
    linger: 2s"""
REQUESTS = (("GET", "/ok"), ("POST", "/ok"), ("GET", "/slow"), ("POST", "/slow"), ("GET", "/sse"))
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing resets


async def disconnects(run: Run) -> Found:
    """Break off so many requests, and see what is left."""
    count = QUICK_DISCONNECTS if run.quick else DISCONNECTS
    async with (
        counting_backend() as backend,
        gateway(run.folder, price_file(backend.url, ROUTES)) as (served, key),
    ):
        room, chance = asyncio.Semaphore(AT_ONCE), random.Random(10_000)
        run.say(f"{count:,} disconnects")
        tasks = [_vanish(served.url, key, room, chance) for _ in range(count)]
        read = sum(await asyncio.gather(*tasks))
        took_s, charges = await _settled(served, backend)
    states = Counter(charges.values())
    left = states[ChargeState.OPEN] + states[ChargeState.EXPIRED]
    table = Table("Disconnects", ("what", "how many"))
    table.lines = [
        ("connections broken off", f"{count:,}"),
        ("of them after some of the answer had come", f"{read:,}"),
        ("charges begun", f"{len(charges):,}"),
        *((f"  {state.word}", f"{states[state]:,}") for state in sorted(states)),
        ("holds left unsettled", str(left)),
    ]
    served_ids = backend.served.keys() - {""}
    return Found(
        said=f"{count:,} clients over sockets of their own, each broken off by a reset at a random"
        f" moment of its request, {AT_ONCE} at a time.",
        tables=[table],
        figures={"unsettled": float(left)},
        counts=[
            Count(
                "charges captured that the backend never got",
                0,
                len(captured_in(charges) - served_ids),
            ),
            Count(
                "requests the backend got and nobody paid",
                0,
                len(served_ids - captured_in(charges)),
            ),
            Count("requests the backend got twice", 0, sum(n > 1 for n in backend.served.values())),
        ],
        notes=[f"looked at until all was settled, {took_s:.1f} s ({SETTLED_LIMIT_S} s at most)"],
    )


async def _vanish(
    url: str, key: dict[str, str], room: asyncio.Semaphore, chance: random.Random
) -> bool:
    """Send all or a part of a request, wait a little, reset; whether anything had come back."""
    method, path = chance.choice(REQUESTS)
    lines = "".join(f"{name}: {value}\r\n" for name, value in key.items())
    head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\n{lines}"
    text = f"{head}content-length: 6\r\n\r\nabcdef" if method == "POST" else f"{head}\r\n"
    cut = chance.randrange(1, 2 * len(text))  # half of them send all of it
    after_s = chance.choice(AFTER_S) * chance.random()
    async with room:
        host, port = url.removeprefix("http://").split(":")
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_connection(Client, host, int(port))
        transport.write(text.encode()[:cut])
        if cut >= len(text) and chance.random() < MID_ANSWER_SHARE:
            await asyncio.wait([client.answered], timeout=ANSWER_LIMIT_S)
            after_s = chance.random() * STREAM_S
        await asyncio.sleep(after_s)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
        return client.answered.done()


class Client(asyncio.Protocol):
    """Knows whether anything has come back."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, _data: bytes) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


async def _settled(
    served: Served, backend: CountingBackend
) -> tuple[float, dict[str, ChargeState]]:
    """Wait until nothing is open and the charges are what the backend got; not for deadlines."""
    began = time.monotonic()
    while True:
        charges = await charges_of(served)
        is_open = ChargeState.OPEN in charges.values()
        wrong = captured_in(charges) ^ (backend.served.keys() - {""})
        passed_s = time.monotonic() - began
        if passed_s > SETTLED_LIMIT_S or not (is_open or wrong):
            return passed_s, charges
        await asyncio.sleep(0.2)
