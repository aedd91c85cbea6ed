"""
What 2,000 slow clients cost the others: `python -m bench.slow_clients`.

A gateway is served as `farebox serve` does it, with its embedded stores and one worker. Normal
clients call a priced route, first alone, then beside connections that send a byte of a head,
or of a body, every few seconds; the slow ones come again as soon as they are cut off. Printed are
the 99th percentile of the normal calls with and without, and how the worker's memory grew.

Slow clients come from many addresses of loopback (Linux): from one, the cap by address ends it.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.oracle import oracle
from tests.served import Served, funded, serving

PRICES = """
version: 1
upstreams: {{ api: {{ url: "{url}" }} }}
routes:
  - {{ path: /paid, methods: [GET, POST], upstream: api, price: 1 }}
"""
CREDITS = 100_000_000
MUST_STAY_BELOW = 3.0
PER_ADDRESS = 100
PAUSE_S = 4.0
"""Between two bytes of a slow client: well within what a body may take, so that it is kept."""


@dataclass
class Normal:
    """What the normal clients saw."""

    took_s: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile_ms(self, share: float) -> float:
        """That share of the calls took at most so long."""
        ordered = sorted(self.took_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


async def call(served: Served, key: str, until: float, seen: Normal) -> None:
    """Call again and again on one connection."""
    host, port = served.url.removeprefix("http://").split(":")
    request = f"GET /paid HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            seen.took_s.append(time.perf_counter() - began)
            seen.failed += not head.startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.005)
    finally:
        writer.transport.abort()


async def normal(served: Served, key: str, seconds: float, clients: int) -> Normal:
    """Let normal clients call for a while."""
    seen = Normal()
    until = time.perf_counter() + seconds
    await asyncio.gather(*(call(served, key, until, seen) for _ in range(clients)))
    return seen


@dataclass
class Slow:
    """How the slow ones fared."""

    open: int = 0
    cut_off: int = 0


async def crawl(served: Served, number: int, start: bytes, slow: Slow) -> None:
    """Send the beginning of a request, then a byte now and then; once cut off, begin again."""
    host, port = served.url.removeprefix("http://").split(":")
    source = f"127.0.1.{1 + number // PER_ADDRESS}"
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
            slow.open += 1
            ended = asyncio.create_task(_until_closed(reader))
            try:
                writer.write(start)
                while not ended.done():
                    await asyncio.wait([ended], timeout=PAUSE_S)
                    writer.write(b"x")
            finally:
                slow.open -= 1
                slow.cut_off += ended.done()
                ended.cancel()
                writer.transport.abort()
        await asyncio.sleep(1)


async def _until_closed(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(65_536):
            pass


@asynccontextmanager
async def crawling(served: Served, key: str, count: int) -> AsyncIterator[Slow]:
    """Keep so many slow clients while the block runs: half with heads, half with bodies."""
    paid = f"host: a\r\nx-api-key: {key}\r\n"
    starts = [
        b"GET /paid HTTP/1.1\r\nhost: a\r\nx: ",
        f"POST /paid HTTP/1.1\r\n{paid}content-length: 100000\r\n\r\nx".encode(),
    ]
    slow = Slow()
    tasks = [
        asyncio.create_task(crawl(served, number, starts[number % 2], slow))
        for number in range(count)
    ]
    try:
        limit = time.perf_counter() + 60
        while slow.open < count * 0.9 and time.perf_counter() < limit:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        yield slow
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def memory_kb(pid: int) -> int:
    """Resident memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def measure(count: int, seconds: float, clients: int, rounds: int) -> bool:
    """Measure and print; False where the normal clients suffered more than they may."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            oracle() as backend,
            serving(Path(folder), PRICES.format(url=backend.url)) as served,
        ):
            key = (await funded(served, CREDITS))["X-Api-Key"]
            worker = served.children()["gateway.worker"]
            await normal(served, key, 2, clients)  # warm
            ratios = []
            for number in range(1, rounds + 1):
                alone = await normal(served, key, seconds, clients)
                before_kb = memory_kb(worker)
                async with crawling(served, key, count) as slow:
                    beside = await normal(served, key, seconds, clients)
                    grown_kb, still_open = memory_kb(worker) - before_kb, slow.open
                ratio = beside.percentile_ms(0.99) / alone.percentile_ms(0.99)
                ratios.append(ratio)
                print(
                    f"round {number}: p99 alone {alone.percentile_ms(0.99):.1f} ms"
                    f" ({len(alone.took_s)} calls, {alone.failed} failed),"
                    f" beside {still_open} slow ones {beside.percentile_ms(0.99):.1f} ms"
                    f" ({len(beside.took_s)} calls, {beside.failed} failed),"
                    f" ratio {ratio:.2f}; worker {grown_kb / 1024:+.1f} MB"
                    f" ({grown_kb / max(1, still_open):.1f} KB each), {slow.cut_off} cut off",
                    flush=True,
                )
    median = sorted(ratios)[len(ratios) // 2]
    print(f"ratio of p99, median of {rounds}: {median:.2f} (must stay below {MUST_STAY_BELOW})")
    return median < MUST_STAY_BELOW


def main() -> int:
    """Read the sizes and measure."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--slow", type=int, default=2_000, help="slow connections")
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--clients", type=int, default=8, help="normal clients")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    good = asyncio.run(measure(given.slow, given.seconds, given.clients, given.rounds))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
