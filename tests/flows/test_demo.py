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


def called(text: str) -> httpx.Response:
    """Do what the first printed line says."""
    line = re.search(r'curl -i (\S+) -H "X-Api-Key: (fbx_\w+)"', text)
    assert line is not None, text
    return httpx.get(line[1], headers={"X-Api-Key": line[2]})


def test_the_printed_call_works_and_the_next_run_goes_on_from_there(folder: Path) -> None:
    process, text = shown(folder)
    try:
        assert "acc_1, 1,000 credits" in text
        answer = called(text)
        assert (answer.status_code, answer.json()["asin"]) == (200, "B000123456")
        assert (answer.headers["farebox-cost"], answer.headers["farebox-balance"]) == ("2", "998")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_LIMIT_S) == 0
    assert not (folder / ".farebox" / "demo" / "run.json").exists()

    process, again = shown(folder)
    try:
        assert re.findall(r"fbx_\w+", again)[0] == re.findall(r"fbx_\w+", text)[0]
        assert "acc_1, 998 credits" in again
        assert called(again).headers["farebox-balance"] == "996"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_LIMIT_S) == 0
