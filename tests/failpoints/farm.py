"""
Raises processes that die: everything is imported once, each life is a fork of that.

    python -m tests.failpoints.farm POSTGRES TEMPLATE REDIS

A request is a line of JSON on its input, the answer one on its output. Its end is the end of the
input; the stores it made are removed then.
"""

from tests.failpoints import hook

hook.install()  # before anything of the product is imported

import asyncio  # noqa: E402
import contextlib  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import secrets  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Awaitable, Callable  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import asyncpg  # noqa: E402
import stripe  # noqa: E402

from billing.standin import StandIn, World  # noqa: E402
from tests.failpoints import runtime  # noqa: E402
from tests.failpoints.run import Customer, Run, Stage  # noqa: E402
from tests.failpoints.scenarios import SCENARIOS, set_stage  # noqa: E402

LIVES_PER_STAGE = 40
CUSTOMERS_PER_LIFE = 2
WARMING = "billing: a purchase"
FRESH_STAGE = {"billing: answers that are lost"}
"""Scenarios that look a session up by its time: renewals have put Stripe's clock days ahead."""

LIFE_LIMIT_S = 90
"""A process that neither dies nor ends by then is killed, which fails its test."""


class Farm:
    """One stage after the other, and one life after the other on each."""

    def __init__(self, postgres: str, template: str, redis: str, folder: Path) -> None:
        self._postgres, self._template, self._redis = postgres, template, redis
        self._folder = folder
        self._stage: Stage | None = None
        self._customers: list[Customer] = []
        self._played = 0
        self._name = ""
        self._warm = False
        self._standin = 0
        self._held = 0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        fresh = request.get("fresh") or request["scenario"] in FRESH_STAGE
        if self._stage is None or self._played >= LIVES_PER_STAGE or fresh:
            self.strike()
            self._set()
            if not self._warm:
                self._warm_up()
                self.strike()
                self._set()  # again: what plays Stripe has to be warm, too
        assert self._stage is not None
        self._played += 1
        mine = [self._customers.pop() for _ in range(CUSTOMERS_PER_LIFE)]
        diary = self._folder / f"diary-{self._name}-{self._played}"
        stage, probing = self._stage, self._customers[0]
        name, point, hit = request["scenario"], request.get("point"), request.get("hit", 1)

        async def live() -> Any:
            began = time.monotonic()
            run = Run(stage, mine, str(diary), dying=True)
            run.begin_with = runtime.record if point is None else lambda: runtime.arm(point, hit)
            await SCENARIOS[name](run)
            return {"hits": dict(runtime.hits), "seconds": time.monotonic() - began}

        async def follow() -> Any:
            run = Run(stage, mine, str(diary), dying=False)
            run.began = time.monotonic()
            await SCENARIOS[name](run)
            return await run.finish(probing)

        began = time.monotonic()
        first = self._fork(live)
        between = time.monotonic()
        died = first["status"] == -signal.SIGKILL
        alone = request.get("alone") or (not died and first["status"] != 0)
        after = {"status": 0} if alone else self._fork(follow)
        if first["status"] not in (0, -signal.SIGKILL) or after["status"] != 0:
            self._played = LIVES_PER_STAGE  # what others find must not be this one's doing
        return {
            "died": died,
            "first": first,
            "after": after,
            "seconds": [between - began, time.monotonic() - between],
        }

    def strike(self) -> None:
        """Remove the stage."""
        if self._stage is None:
            return

        if self._standin:
            os.kill(self._standin, signal.SIGKILL)
            os.waitpid(self._standin, 0)
            os.close(self._held)
            self._standin = 0

        async def drop() -> None:
            await _execute(self._postgres, f"DROP DATABASE {self._name} WITH (FORCE)")

        self._stage = None
        self._must(drop)

    def _set(self) -> None:
        self._name = f"failpoints_{secrets.token_hex(5)}"
        url = self._postgres.replace("/postgres?", f"/{self._name}?", 1)

        async def make() -> Any:
            await _execute(
                self._postgres, f"CREATE DATABASE {self._name} TEMPLATE {self._template}"
            )
            count = (LIVES_PER_STAGE + 1) * CUSTOMERS_PER_LIFE + 1
            return await set_stage(Stage(url, self._redis, self._name, 0), count)

        made = self._must(make)
        standin_url, standin_key = self._play_stripe()
        self._stage = Stage(
            **made["stage"] | {"standin_url": standin_url, "standin_key": standin_key}
        )
        self._customers = [Customer(**each) for each in made["customers"]]
        self._played = 0

    def _play_stripe(self) -> tuple[str, str]:
        """Raise a Stripe that outlives every life of this stage."""
        told, ready = os.pipe()
        lifeline, held = os.pipe()
        self._standin = os.fork()
        if self._standin == 0:
            os.close(held)

            async def play() -> None:
                # Ends with the farm, however that ends: nobody holds the other end then.
                asyncio.get_running_loop().add_reader(lifeline, os._exit, 0)
                standin = StandIn(World())
                await standin.start()
                os.write(ready, json.dumps([standin.url, standin.world.key]).encode() + b"\n")
                await asyncio.Event().wait()

            _live(play, self._folder / "standin", self._folder / "standin.log", limit_s=0)
        os.close(ready)
        os.close(lifeline)
        self._held = held
        with os.fdopen(told) as lines:
            url, key = json.loads(lines.readline())
        return url, key

    def _warm_up(self) -> None:
        """
        Play one purchase here, Stripe included.

        What is read or worked out once, such as statements and the shapes of Stripe's objects,
        every fork has from then on.
        """
        assert self._stage is not None
        stage, mine = self._stage, [self._customers.pop() for _ in range(CUSTOMERS_PER_LIFE)]

        async def live() -> None:
            standin = StandIn(World())
            await standin.start()
            here = replace(stage, standin_url=standin.url, standin_key=standin.world.key)
            run = Run(here, mine, str(self._folder / "diary-warm"), dying=False)
            await SCENARIOS[WARMING](run)
            await run.finish(self._customers[0])
            await standin.close()

        asyncio.run(live())
        gc.collect()
        gc.freeze()
        self._warm = True

    def _must(self, do: Callable[[], Awaitable[Any]]) -> Any:
        done = self._fork(do)
        if done["status"] != 0:
            raise RuntimeError(done["said"])
        return done["value"]

    def _fork(self, do: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
        """Run it in a fork; returns how that ended, what it returned and what it said."""
        value, said = self._folder / "value", self._folder / "said"
        value.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            _live(do, value, said)
        _, status, used = os.wait4(pid, 0)
        text = said.read_text("utf-8", "replace") if said.exists() else ""
        return {
            "status": os.waitstatus_to_exitcode(status),
            "value": json.loads(value.read_text("utf-8")) if value.exists() else None,
            "said": text[-6_000:],
            "cpu_s": [round(used.ru_utime, 3), round(used.ru_stime, 3), used.ru_minflt],
        }


def _live(
    do: Callable[[], Awaitable[Any]], value: Path, said: Path, limit_s: int = LIFE_LIMIT_S
) -> None:
    """Be the fork; never returns."""
    code = 1
    try:
        signal.alarm(limit_s)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        logging.basicConfig(level=logging.WARNING, force=True)

        async def awaited() -> Any:
            return await do()

        result = asyncio.run(awaited())
        value.write_text(json.dumps(result), "utf-8")
        code = 0
    except BaseException:  # noqa: BLE001 - told to the farm
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def main(postgres: str, template: str, redis: str) -> None:
    # The SDK rests half a second before it asks again; deaths are many here.
    stripe.HTTPClient.INITIAL_DELAY = stripe.HTTPClient.MAX_DELAY = 0.001
    with tempfile.TemporaryDirectory(prefix="farebox-failpoints-") as folder:
        farm = Farm(postgres, template, redis, Path(folder))
        try:
            for line in sys.stdin:
                try:
                    answer = farm.answer(json.loads(line))
                except Exception as error:  # noqa: BLE001 - told to who asked
                    answer = {"error": f"{type(error).__name__}: {error}"}
                print(json.dumps(answer), flush=True)
        finally:
            with contextlib.suppress(RuntimeError):
                farm.strike()


if __name__ == "__main__":
    main(*sys.argv[1:])
