"""What the figures were taken on: they mean little without."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from gateway.stores.binaries import find_postgres, find_redis

_PACKAGES = ("uvicorn", "uvloop", "httptools", "hiredis", "asyncpg", "starlette", "httpx", "redis")
_PROGRAMS = {
    "nginx": (["nginx", "-v"], r"nginx/(\S+)"),
    "wrk": (["wrk", "-v"], r"wrk (\S+)"),
}


def described() -> dict[str, str]:
    """Machine and versions, by name."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    found = {
        "machine": f"{os.cpu_count()} cores, {model[1] if model else platform.machine()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
    stores = {
        "redis": ([str(find_redis()), "--version"], r"(.*? v=\S+)"),
        "postgres": ([str(find_postgres() / "postgres"), "--version"], r"(\d[\d.]*)"),
    }
    for name, (command, pattern) in (_PROGRAMS | stores).items():
        if shutil.which(command[0]):
            said = subprocess.run(command, capture_output=True, text=True, check=False)
            match = re.search(pattern, said.stdout + said.stderr)
            if match:
                found[name] = match[1]
    return found | {name: version(name) for name in _PACKAGES}
