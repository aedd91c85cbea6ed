"""`farebox demo` as a new user sees it: the printed lines work, and Ctrl-C ends everything."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx

from tests.served import FAREBOX, START_LIMIT_S, STOP_LIMIT_S


def shown(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the demo; return it and what it printed once it is up."""
    log = folder / "demo.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*FAREBOX, "demo"], cwd=folder, env=clean, stdout=out, stderr=out
        )
    limit = time.monotonic() + START_LIMIT_S
    while "Ctrl-C stops everything" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < limit, log.read_text()
        time.sleep(0.05)
    return process, log.read_text()


def called(text: str, number: int = 0) -> httpx.Response:
    """Do what the first printed line about products says, or a later one."""
    lines = re.findall(r'curl -i (\S+/v1/products/\S+) -H "X-Api-Key: (fbx_\w+)"', text)
    url, key = lines[number]
    return httpx.get(url, headers={"X-Api-Key": key})


def pages(text: str) -> str:
    """Open the printed link into the pages."""
    link = re.search(r"http\S+/farebox/sign-in\?token=\w+", text)
    assert link is not None
    with httpx.Client(follow_redirects=True) as browser:
        return browser.get(link[0]).text


def buy(refused: httpx.Response) -> None:
    """Follow the link of a refused call and pay, as a person does in a browser."""
    assert refused.status_code == 402
    link = refused.json()["buy"]
    token = link.partition("token=")[2]
    form = {"token": token, "package": "starter"}
    leads_on = httpx.post(link.partition("?")[0], data=form, headers={"accept": "text/html"})
    page = leads_on.headers["location"]
    total = re.search(r'name="shown_total" value="(\d+)"', httpx.get(page).text)
    assert total is not None
    card = {"card": "4242 4242 4242 4242", "expiry": "12/40", "cvc": "123", "name": "Ann"}
    fields = {**card, "email": "a@example.com", "shown_total": total[1], "action": "pay"}
    paid = httpx.post(page, data=fields)
    assert paid.status_code == 303, paid.text


def until_served(text: str) -> httpx.Response:
    """Repeat the call that was refused until the webhook has come."""
    limit = time.monotonic() + 20
    while (answer := called(text, number=1)).status_code != 200:
        assert time.monotonic() < limit, answer.text
        time.sleep(0.05)
    return answer


def test_the_printed_call_works_and_the_next_run_goes_on_from_there(folder: Path) -> None:
    process, text = shown(folder)
    try:
        assert "acc_1, 1,000 credits" in text
        assert "Your credits" in pages(text)
        answer = called(text)
        assert (answer.status_code, answer.json()["asin"]) == (200, "B000123456")
        assert (answer.headers["farebox-cost"], answer.headers["farebox-balance"]) == ("2", "998")
        buy(called(text, number=1))
        assert until_served(text).headers["farebox-balance"] == str(1 + 100 - 2)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_LIMIT_S) == 0
    assert not (folder / ".farebox" / "demo" / "run.json").exists()

    process, again = shown(folder)
    try:
        assert re.findall(r"fbx_\w+", again)[0] == re.findall(r"fbx_\w+", text)[0]
        assert "acc_1, 998 credits" in again
        assert called(again).headers["farebox-balance"] == "996"
        assert called(again, number=1).headers["farebox-balance"] == "97"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_LIMIT_S) == 0
