"""
What an idle gateway takes: `python -m bench.memory`.

A gateway is served as `farebox serve` does it, with embedded stores. Printed is the resident
memory of each process once it answers; of the worker also after its probes were asked and after
its own routes were (they are loaded then), and what `farebox --version` takes.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.machine import described
from bench.processes import memory_bytes
from tests.served import FAREBOX, Served, serving

PRICES = """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes:
  - { path: /paid, upstream: api, price: 1 }
"""
RUNS = 5


def shown(name: str, pid: int) -> None:
    """Print what a process takes; `private` is what another worker would take again."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    private_mb, threads = int(status["RssAnon"].split()[0]) / 1000, int(status["Threads"])
    resident_mb = memory_bytes([pid]) / 1e6
    print(f"{name:<40}{resident_mb:>7.1f} MB, private {private_mb:>5.1f}, threads {threads}")


def ask(served: Served, path: str) -> None:
    with urllib.request.urlopen(f"{served.url}/farebox{path}", timeout=30) as answer:
        answer.read()


async def main() -> None:
    print("; ".join(f"{name} {value}" for name, value in described().items()))
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as folder:
        async with serving(Path(folder), PRICES) as served:
            children = served.children()
            worker = children["gateway.worker"]
            shown("serve", served.process.pid)
            for module, pid in children.items():
                shown(module, pid)
            for path in ("/livez", "/readyz", "/openapi.json"):
                await asyncio.to_thread(ask, served, path)
                shown(f"gateway.worker, after {path}", worker)
    took_s = [await asyncio.to_thread(version_s) for _ in range(RUNS)]
    print(f"farebox --version: {min(took_s):.2f} s, the best of {RUNS}")


def version_s() -> float:
    """Return how long the shortest command takes."""
    began = time.perf_counter()
    subprocess.run([*FAREBOX, "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
