"""What a worker makes of its orders."""

import subprocess
import sys
from typing import Any

import pytest

from gateway.worker import POSTGRES_CONNECTIONS, ledger_options, link_secret, settings_of

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


def test_gateways_with_one_admin_token_take_each_others_links() -> None:
    assert link_secret(settings_of(orders())) == link_secret(settings_of(orders(workers=5)))


def test_another_token_signs_otherwise_and_the_secret_is_not_the_token() -> None:
    first = link_secret(settings_of(orders()))
    assert first != link_secret(settings_of(orders(admin_token="another-long-token")))
    assert b"a-token-long-enough" not in first


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
