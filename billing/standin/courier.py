"""Sending what the post has: a task that delivers events and does what falls due."""

import asyncio
from typing import TYPE_CHECKING

import httpx

from billing.standin.envelope import sealed
from billing.standin.post import Delivery

if TYPE_CHECKING:
    from billing.standin.world import World

MOST_AT_ONCE = 8  # deliveries on their way, so that a slow receiver does not stop the others
LONGEST_WAIT_S = 0.2  # between looks at the clock, which others may have advanced
ANSWER_WITHIN_S = 10.0


class Courier:
    """Delivers until closed. One per event loop."""

    def __init__(self, world: "World", *, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self._world = world
        self._client = httpx.AsyncClient(timeout=answer_within_s, trust_env=False)
        self._awake = asyncio.Event()
        self._free = asyncio.Semaphore(MOST_AT_ONCE)
        self._task: asyncio.Task[None] | None = None
        self._trips: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to deliver."""
        self._world.post.wake = self._awake.set
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; what is on its way is given up and goes back to waiting."""
        self._world.post.wake = lambda: None
        tasks = [task for task in (self._task, *self._trips) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def idle(self, limit_s: float = 30) -> None:
        """Return once nothing is due and nothing on its way; TimeoutError after the limit."""
        async with asyncio.timeout(limit_s):
            while not self._world.post.idle():
                self._awake.set()
                await asyncio.sleep(0.005)

    async def _run(self) -> None:
        while True:
            self._awake.clear()
            try:
                self._world.run_due()
            except Exception as error:  # noqa: BLE001
                # One action must not stop the post; whoever runs the tests is told.
                self._world.bugs.append(f"a scheduled action failed: {error!r}")
            for delivery in self._world.post.take_due():
                trip = asyncio.create_task(self._send(delivery))
                self._trips.add(trip)
                trip.add_done_callback(self._trips.discard)
            await self._pause()

    async def _pause(self) -> None:
        moments = [self._world.post.next_due(), self._world.next_due()]
        now = self._world.clock.now()
        waits = [moment - now for moment in moments if moment is not None]
        try:
            async with asyncio.timeout(max(0.0, min([LONGEST_WAIT_S, *waits]))):
                await self._awake.wait()
        except TimeoutError:
            return

    async def _send(self, delivery: Delivery) -> None:
        status = 0
        try:
            async with self._free:
                endpoint = self._world.find("webhook_endpoint", delivery.endpoint_id)
                if endpoint is None or endpoint.get("deleted"):
                    return
                body, headers = sealed(self._world, delivery)
                answer = await self._client.post(endpoint["url"], content=body, headers=headers)
                status = answer.status_code
        except httpx.HTTPError:
            status = 0
        except Exception as error:  # noqa: BLE001
            # A bug of the stand-in, told to whoever runs the tests.
            self._world.bugs.append(f"event {delivery.event_id} could not be made: {error!r}")
        finally:
            self._world.post.done(delivery, status)
