"""
Load by wrk, which costs less CPU per request than anything that it measures.

https://github.com/wg/wrk; on Debian and Ubuntu `apt install wrk`. One thread, so that a machine
of two cores has one left for the gateway.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Load:
    """What wrk saw. `errors` are answers other than 2xx and 3xx, and broken connections."""

    requests: int
    errors: int
    seconds: float
    median_s: float
    p99_s: float


def missing() -> str | None:
    """Return what to do where it is not there."""
    return None if shutil.which("wrk") else "wrk is missing: apt install wrk"


def load(
    url: str,
    *,
    connections: int,
    seconds: int,
    headers: Mapping[str, str] | None = None,
    script: Path | None = None,
) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    if script is not None:
        command += ["-s", str(script)]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=True)
    return read(done.stdout)


def read(text: str) -> Load:
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    assert total, text
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors = int(bad[1]) if bad else 0
    errors += sum(map(int, broken.groups())) if broken else 0
    return Load(
        requests=int(total[1]),
        errors=errors,
        seconds=float(total[2]) * _UNITS[total[3]],
        median_s=_share(text, "50"),
        p99_s=_share(text, "99"),
    )


def _share(text: str, percent: str) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m) *$", text, re.MULTILINE)
    assert found, text
    return float(found[1]) * _UNITS[found[2]]
