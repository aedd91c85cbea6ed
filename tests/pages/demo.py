"""`farebox demo` as a process of its own, with what tests ask of it beside the browser."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.data_folder import DataFolder
from tests.served import FAREBOX, POLL_S, START_LIMIT_S, STOP_LIMIT_S

WELCOMED = "Ctrl-C stops everything"
LIMIT_S = 30
"""For what takes two seconds at most: a change that is posted, a price file that is taken."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of one test's own, with a key that may manage it."""

    id: str
    name: str
    key: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs, as its welcome describes it."""

    welcome: str
    data: Path
    public: str
    admin: str
    stripe: str
    admin_token: str

    @property
    def prices(self) -> Path:
        return self.data / "farebox.yaml"

    @property
    def postgres(self) -> str:
        """The address of its database."""
        running = DataFolder(self.data).running()
        assert running is not None
        return running.postgres_url

    @property
    def keys(self) -> list[str]:
        """The printed keys: of the account with credits, and of the one that has to buy."""
        return list(dict.fromkeys(re.findall(r"fbx_\w+", self.welcome)))

    @property
    def origins(self) -> set[str]:
        return {self.public, self.admin, self.stripe}

    def ask_admin(self, method: str, path: str, json: Any = None) -> Any:
        """Do what the admin's API does; returns its JSON answer."""
        answer = httpx.request(
            method,
            f"{self.admin}/admin/v1{path}",
            json=json,
            headers={"Authorization": f"Bearer {self.admin_token}"},
            timeout=LIMIT_S,
        )
        assert answer.is_success, answer.text
        return answer.json()

    def account(self, name: str, granted: int = 0) -> Account:
        """Make an account that no other test uses; its pages show what it was granted."""
        made = self.ask_admin("PUT", f"/accounts/{name}", {"name": f"Account {name}"})
        if granted:
            grant = {"credit_type": "credits", "amount": granted, "kind": "promotion"}
            self.ask_admin("POST", f"/accounts/{name}/grants", {**grant, "reference": f"{name}-1"})
        key = self.key(name)
        until(lambda: self.available(key["key"]) == granted, f"{name}'s grant is posted")
        return Account(made["id"], name, key["key"], key["id"])

    def key(self, account: str, name: str = "first", *scopes: str) -> Any:
        """Make one more key."""
        draft = {"name": name, "scopes": list(scopes or ("call", "manage"))}
        return self.ask_admin("POST", f"/accounts/{account}/keys", draft)

    def sign_in_link(self, account: str) -> str:
        """Make a link that signs in to the consumer's pages, once."""
        return str(self.ask_admin("POST", f"/accounts/{account}/sign-in")["url"])

    def call(
        self, key: str, path: str = "/v1/products/B000123456", method: str = "GET", **more: Any
    ) -> httpx.Response:
        """Call through the gateway."""
        url = f"{self.public}{path}"
        return httpx.request(method, url, headers={"X-Api-Key": key}, timeout=LIMIT_S, **more)

    def charged(self, key: str, path: str = "/v1/products/B000123456", **more: Any) -> str:
        """Call, wait until the charge can be looked at, and return its id."""
        charge = self.call(key, path, **more).headers["farebox-request-id"]

        def closed() -> bool:
            shown = self.call(key, f"/farebox/v1/charges/{charge}")
            return shown.is_success and shown.json()["state"] != "open"

        until(closed, f"charge {charge} is posted")
        return charge

    def buy(self, key: str, package: str = "starter", card: str = "4242424242424242") -> str:
        """Buy a package with a test card, wait for its credits; returns the order's id."""
        asked = self.call(key, "/farebox/v1/checkout", "POST", json={"package": package})
        started = asked.raise_for_status().json()
        page = started["checkout_url"]
        total = re.search(r'name="shown_total" value="(\d+)"', httpx.get(page).text)
        assert total is not None
        typed = {"card": card, "expiry": "12/40", "cvc": "123", "name": "Ann"}
        fields = {**typed, "email": "ann@example.com", "shown_total": total[1], "action": "pay"}
        assert httpx.post(page, data=fields).status_code == 303
        where = f"/farebox/v1/checkout/{started['session_id']}"
        until(lambda: self.call(key, where).json()["given"], f"{package} is paid and given")
        return str(started["order_id"])

    def available(self, key: str) -> int:
        """What an account has, as its own API says."""
        balances = self.call(key, "/farebox/v1/account").json()["balances"]
        found = [one["available"] for one in balances if one["credit_type"] == "credits"]
        return int(found[0]) if found else 0


def until(holds: Any, what: str, limit_s: float = LIMIT_S) -> None:
    """Ask again and again until something holds."""
    limit = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < limit, f"waited {limit_s} s in vain: {what}"
        time.sleep(POLL_S)


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """Run a demo on free ports for as long as the block runs; its data lie below `folder`."""
    log = folder / "demo.log"
    process = _started(folder, log)
    try:
        yield _described(_welcome(process, log), folder)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    assert process.returncode == 0, log.read_text()


def _started(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    ours = ("FAREBOX_", "PYTHONPATH", "STRIPE_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    with log.open("wb") as out:
        return subprocess.Popen(
            [*FAREBOX, "demo", "--port", "0", "--admin-port", "0"],
            cwd=folder,
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


def _welcome(process: subprocess.Popen[bytes], log: Path) -> str:
    limit = time.monotonic() + START_LIMIT_S
    while WELCOMED not in log.read_text():
        assert process.poll() is None, f"the demo ended: {log.read_text()}"
        assert time.monotonic() < limit, f"the demo did not start: {log.read_text()}"
        time.sleep(POLL_S)
    return log.read_text()


def _described(welcome: str, folder: Path) -> Demo:
    data = folder / ".farebox" / "demo"
    local = r"http://127\.0\.0\.1:\d+"
    found = {
        "public": re.search(rf"({local})/farebox/", welcome),
        "admin": re.search(rf"({local})/admin/", welcome),
        "stripe": re.search(rf"({local}) is Stripe's dashboard", welcome),
    }
    addresses = {name: match[1] for name, match in found.items() if match}
    assert addresses.keys() == found.keys(), welcome
    token, _ = DataFolder(data).admin_token()
    return Demo(welcome, data, **addresses, admin_token=token)
