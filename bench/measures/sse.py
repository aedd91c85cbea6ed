"""
A streamed answer of 100 events: how much later they come through Farebox than from the backend.

The backend writes the time into each event, and one clock of the machine is read at both ends, so
every event's journey is known by itself. Streams go both ways in turns, one at a time: it is
latency that is asked for. The route is metered by the last event, so all of them are read.
"""

import asyncio
import json
import time
from statistics import median, quantiles

from bench.found import Count, Found, Table
from bench.peers.farebox import captured, gateway, price_file
from bench.processes import cpu_s
from bench.programs import program
from bench.run import Run

EVENTS, EVERY_MS, UNITS = 100, 3, 7
ROUTE = """
  - path: /events
    methods: [GET]
    upstream: api
    price: { hold: 50, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 50 }"""


async def sse(run: Run) -> Found:
    """Take streams from both in turns."""
    streams = 10 if run.quick else 40
    arguments = [str(EVENTS), str(EVERY_MS), str(UNITS)]
    async with (
        program("bench.programs.events", *arguments) as backend,
        gateway(run.folder, price_file(backend.url, ROUTE)) as (served, key),
    ):
        ways = {"direct": Way(backend.url, {}), "farebox": Way(served.url, key)}
        for way in ways.values():
            await way.stream()  # warm
        warm = ways["farebox"].usages
        for way in ways.values():
            way.forget()
        run.say(f"{streams} streams each")
        worker = [pid for name, pid in served.children().items() if "worker" in name]
        before = cpu_s(worker)
        for _ in range(streams):
            for way in ways.values():
                await way.stream()
        us = (cpu_s(worker) - before) / streams / EVENTS * 1e6
        for way in ways.values():
            way.close()
        taken = await captured(served)
    direct, ours = ways["direct"], ways["farebox"]
    table = Table("SSE", ("way", "first byte", "event", "99th of events", "streams"))
    for name, way in ways.items():
        table.lines.append(
            (
                name,
                f"{median(way.first_ms):.2f} ms",
                f"{median(way.event_ms):.3f} ms",
                f"{quantiles(way.event_ms, n=100)[98]:.2f} ms",
                str(len(way.first_ms)),
            )
        )
    return Found(
        said=f"Streams of {EVENTS} events, {EVERY_MS} ms apart, one at a time; from the request to"
        " the first byte of the body, and from the backend's writing of an event to the client's"
        " reading it. Through Farebox the price is read from the last event.",
        tables=[table],
        figures={
            "sse first": median(ours.first_ms) - median(direct.first_ms),
            "sse event": median(ours.event_ms) - median(direct.event_ms),
        },
        counts=[
            Count("events through Farebox", streams * EVENTS, len(ours.event_ms)),
            Count("units charged, of the last events' usage", warm + ours.usages, taken),
        ],
        notes=[f"{us:.0f} µs of the worker's CPU per event"],
    )


class Way:
    """One way to the backend, and what came by it."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._address = url.removeprefix("http://").split(":")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._request = f"GET /events HTTP/1.1\r\nhost: bench\r\n{lines}\r\n".encode()
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.forget()

    def forget(self) -> None:
        """Begin to measure."""
        self.first_ms: list[float] = []
        self.event_ms: list[float] = []
        self.usages = 0

    async def stream(self) -> None:
        """Ask for a stream on a kept connection, and note when its events come."""
        if self._connection is None:
            host, port = self._address
            self._connection = await asyncio.open_connection(host, int(port))
        reader, writer = self._connection
        began = time.monotonic_ns()
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        first = True
        while size := int(await reader.readuntil(b"\r\n"), 16):
            now = time.monotonic_ns()
            if first:
                self.first_ms.append((now - began) / 1e6)
                first = False
            # Several events in one chunk came together; the rest of a chunk is there by now.
            for event in (await reader.readexactly(size + 2)).split(b"\n\n")[:-1]:
                told = json.loads(event.removeprefix(b"data: "))
                self.event_ms.append((now - told["at"]) / 1e6)
                self.usages += told.get("usage", {}).get("total_tokens", 0)
        await reader.readexactly(2)

    def close(self) -> None:
        """Leave."""
        if self._connection is not None:
            self._connection[1].close()
