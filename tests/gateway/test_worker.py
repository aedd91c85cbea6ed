"""What a worker makes of its orders."""

import subprocess
import sys
from typing import Any

import pytest

from gateway.worker import POSTGRES_CONNECTIONS, ledger_options, settings_of

SETTINGS = {
    "workers": 2,
    "admin_token": "a-token-long-enough",
    "postgres_url": "postgresql://x/y",
    "redis_url": "redis://x",
}


def orders(variables: dict[str, str] | None = None, **settings: Any) -> dict[str, Any]:
    return {"variables": variables or {}, "settings": {**SETTINGS, **settings}}


def test_what_serve_found_out_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_POSTGRES_URL", "postgresql://elsewhere/y")
    assert settings_of(orders()).postgres_url == "postgresql://x/y"


def test_the_price_file_may_name_what_serve_adds_to_the_environment() -> None:
    assert settings_of(orders({"DEMO_BACKEND": "http://b"})).environ["DEMO_BACKEND"] == "http://b"


@pytest.mark.parametrize("workers", [1, 2, 8, 32, 100])
def test_all_processes_together_leave_postgres_room(workers: int) -> None:
    each = ledger_options(settings_of(orders(workers=workers))).postgres_connections
    assert each >= 2
    assert each == 2 or each * (workers + 1) <= POSTGRES_CONNECTIONS


@pytest.mark.parametrize(("said", "kept"), [({}, None), ({"FAREBOX_RETENTION_MONTHS": "13"}, 13)])
def test_charges_are_kept_as_long_as_the_environment_says(
    said: dict[str, str], kept: int | None
) -> None:
    assert ledger_options(settings_of(orders(said))).keep_months == kept


@pytest.mark.parametrize("module", ["worker", "steward", "keeper"])
def test_started_by_hand_it_says_who_starts_it(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", f"gateway.{module}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "this module is started by farebox serve, not by hand\n"


HEAVY = {"httpx", "jinja2", "pydantic", "redis", "starlette", "stripe"}
"""Nothing that only calls are served with; each takes 5 to 15 MB of every worker."""


def test_a_worker_that_starts_loads_nothing_that_calls_do_not_need() -> None:
    look = f"import gateway.worker, sys; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", look], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_steward_that_starts_loads_no_pages() -> None:
    look = (
        "import gateway.steward, sys; "
        "print([name for name in sys.modules if name == 'jinja2' or name[:14] == 'gateway.pages.'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", look], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
