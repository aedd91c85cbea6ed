"""The chain of charges by a clock of the test's own: when links are held, captured and given back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from config import RequestFacts, load_price_list
from gateway.metering import Metering
from gateway.request import Request
from gateway.websocket import Chain, Link, WebSocketLimits
from gateway.websocket.relay import Relay
from ledger.errors import BadKey, InsufficientCredits, LedgerError, LedgerUnavailable
from ledger.holds import Held
from ledger.reasons import Reason
from tests.gateway.serving import until

pytestmark = pytest.mark.anyio

NO_FACTS = RequestFacts({}, b"", [], None, 0)


class Clock:
    """Stands still until it is told."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def now_us(self) -> int:
        return round(self.now_s * 1_000_000)


class FakeRelay:
    """A connection of which only the ends count."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.ended = self.closing = False
        self.said: list[tuple[int, str]] = []
        self.let_on = 0

    def go_on(self) -> None:
        self.let_on += 1

    def finish(self, code: int, reason: str) -> None:
        self.closing = True
        self.said.append((code, reason))


class FakeHeld:
    def __init__(self) -> None:
        self.voided: list[int] = []

    def void(self, reason: int) -> None:
        self.voided.append(reason)


@dataclass
class Rig:
    """A chain at work."""

    chain: Chain
    relay: FakeRelay
    clock: Clock
    links: list[FakeHeld]
    captured: list[int] = field(default_factory=list)
    refusals: list[LedgerError] = field(default_factory=list)
    asked: int = 0
    silent: bool = False

    async def at(self, now_s: float) -> None:
        """Set the clock, and let the chain do what it does then."""
        self.clock.now_s = now_s
        self.relay.changed.set()
        for _ in range(10):
            await asyncio.sleep(0)


@asynccontextmanager
async def rig(price: str) -> AsyncIterator[Rig]:
    text = (
        "version: 1\nupstreams: { api: { url: 'http://a' } }\n"
        f"routes: [{{ path: /a, upstream: api, websocket: true, price: {price} }}]"
    )
    route = load_price_list(text, environ={}).routes[0]
    clock, relay = Clock(), FakeRelay()
    measured = route.price.before(NO_FACTS)
    first = Metering(route.price, measured, cast("Request", None), cast("Any", clock))
    held = FakeHeld()

    async def next_link() -> Link:
        made.asked += 1
        if made.silent:
            await asyncio.Event().wait()
        if made.refusals:
            raise made.refusals.pop(0)
        made.links.append(FakeHeld())
        return Link(first.next_slice("first"), cast("Held", made.links[-1]))

    def capture(link: Link) -> None:
        made.captured.append(link.metering.elapsed_ms())

    chain = Chain(
        Link(first, cast("Held", held)),
        next_link=next_link,
        capture=capture,
        clock=cast("Any", clock),
        limits=WebSocketLimits(),
    )
    made = Rig(chain, relay, clock, [held])
    async with chain:
        keeping = asyncio.create_task(chain.keep(cast("Relay", relay)))
        await made.at(0)
        try:
            yield made
        finally:
            relay.ended = True
            relay.changed.set()
            await keeping


BY_TIME = "{ per: [{ seconds: true, unit: 60, cost: 2 }] }"


async def test_the_next_is_held_ahead_and_takes_over_at_the_minute() -> None:
    async with rig(BY_TIME) as at_work:
        await at_work.at(54.9)
        assert at_work.asked == 0
        await at_work.at(55.1)
        assert (at_work.asked, at_work.captured) == (1, [])
        await at_work.at(59.9)
        assert (at_work.asked, at_work.captured) == (1, [])
        await at_work.at(61.7)  # late, but the time between is not lost
        assert (at_work.captured, at_work.relay.let_on) == ([60_000], 1)
        await at_work.at(62.0)
        assert at_work.chain.close().metering.elapsed_ms() == 2_000


async def test_what_was_held_ahead_and_not_needed_goes_back_unused() -> None:
    async with rig(BY_TIME) as at_work:
        await at_work.at(56)
    assert [held.voided for held in at_work.links] == [[Reason.GATEWAY_ERROR], [Reason.UNUSED]]
    assert at_work.captured == []  # the one under way is the proxy's to settle; here nobody did


async def test_a_refusal_is_tried_again_each_second_until_the_slice_is_over() -> None:
    async with rig(BY_TIME) as at_work:
        at_work.refusals = [InsufficientCredits(2, 0, 1)] * 9
        await at_work.at(55.1)
        await at_work.at(55.5)
        assert at_work.asked == 1
        await at_work.at(56.2)
        assert (at_work.asked, at_work.relay.said) == (2, [])
        await at_work.at(60.0)
        assert at_work.relay.said == [(1008, "insufficient-credits")]
        await at_work.at(61.0)
        assert (at_work.asked, at_work.captured) == (2, [])


async def test_credits_that_come_within_the_slice_are_found() -> None:
    async with rig(BY_TIME) as at_work:
        at_work.refusals = [InsufficientCredits(2, 0, 1), LedgerUnavailable("gone")]
        for now_s in (55.1, 56.2, 57.3, 60.1):
            await at_work.at(now_s)
        assert (at_work.captured, at_work.relay.said) == ([60_000], [])


async def test_a_ledger_that_does_not_answer_closes_with_1013_at_the_end() -> None:
    async with rig(BY_TIME) as at_work:
        at_work.refusals = [LedgerUnavailable("gone")] * 9
        await at_work.at(55.1)
        await at_work.at(60.1)
        assert at_work.relay.said == [(1013, "ledger-unavailable")]


async def test_a_last_try_without_an_answer_does_not_hide_what_was_answered() -> None:
    async with rig(BY_TIME) as at_work:
        at_work.refusals = [InsufficientCredits(2, 0, 1)]
        await at_work.at(55.1)
        at_work.silent = True
        await at_work.at(59.99)  # the try may take what is left of the slice: 10 ms
        at_work.clock.now_s = 60.1
        await until(lambda: at_work.relay.said)
        assert (at_work.asked, at_work.relay.said) == (2, [(1008, "insufficient-credits")])


async def test_messages_are_let_in_up_to_the_hold_and_then_by_the_next() -> None:
    async with rig("{ hold: 4, per: [{ messages: true, cost: 1 }] }") as at_work:
        chain = at_work.chain
        assert [chain.message() for _ in range(2)] == [True, True]
        await at_work.at(0.1)
        assert at_work.asked == 0
        assert chain.message()  # more than half is used
        await at_work.at(0.2)
        assert (at_work.asked, at_work.captured) == (1, [])
        assert [chain.message() for _ in range(2)] == [True, False]
        await at_work.at(0.3)
        assert (at_work.captured, at_work.relay.let_on) == ([300], 1)
        assert chain.message()


async def test_a_message_nobody_can_pay_for_closes_at_once() -> None:
    async with rig("{ hold: 1, per: [{ messages: true, cost: 1 }] }") as at_work:
        at_work.refusals = [BadKey("revoked")] * 3
        assert [at_work.chain.message() for _ in range(2)] == [True, False]
        await at_work.at(0.1)
        assert at_work.relay.said == [(1008, "key-invalid")]
        assert at_work.relay.let_on == 0


async def test_where_time_uses_up_the_hold_the_slice_is_shorter() -> None:
    price = "{ hold: 10, per: [{ seconds: true, cost: 1 }, { messages: true, cost: 1 }] }"
    async with rig(price) as at_work:
        await at_work.at(5.5)
        assert at_work.asked == 1  # ten seconds are covered; five before the end is now
        for _ in range(3):
            assert at_work.chain.message()
        await at_work.at(6.9)
        assert at_work.captured == []
        await at_work.at(7.2)  # seven seconds and three messages are what ten can pay
        assert at_work.captured == [7_000]


async def test_a_flat_price_has_links_of_a_minute() -> None:
    async with rig("3") as at_work:
        assert at_work.chain.message()
        assert at_work.chain.delivered(10**9)
        for now_s in (55.1, 60.1, 115.1, 120.1):
            await at_work.at(now_s)
        assert at_work.captured == [60_000, 60_000]
