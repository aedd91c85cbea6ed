"""An error nobody expected, at each step of a passage: nothing is left behind, nobody pays for it."""

import logging
from typing import Any

import pytest

from gateway.access_log import AccessLog
from gateway.fast_path import passage as passage_module
from gateway.fast_path.fast_path import FastPath
from gateway.fast_path.passage import Passage
from gateway.fast_path.prepare import Prepared, Priced
from gateway.framing import StrictHttpProtocol, Turn
from gateway.limits import RouteLimits
from gateway.metrics import Metrics
from gateway.upstream import H1Client
from gateway.upstream.connection import Connection
from gateway.upstream.pool import Pool
from gateway.upstream.response import ResponseReader
from ledger.quick_hold import QuickHold, QuickHolds
from tests.gateway.fast_path.rig import Warm, client_of, get
from tests.upstreams import answer

pytestmark = pytest.mark.anyio

PRICE = 10
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"


class Fault(Exception):
    """What nobody expects."""


class Failing:
    """A step that fails the next time."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.met = 0
        usual = getattr(owner, name)

        def fail(*args: Any, **more: Any) -> Any:
            if self.met:
                return usual(*args, **more)
            self.met += 1
            raise Fault(name)

        patch.setattr(owner, name, fail)


async def on_again(warm: Warm) -> None:
    """Others are served, on new connections and by the fast path."""
    customer = await warm.customer()
    async with client_of(warm.gateway) as client:
        for _ in range(2):
            assert (await client.ask(get(customer, "/ten"))).status == 200
    assert warm.passages.counts == (2, 0, 0)
    await warm.spent(customer, 20)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(FastPath, "prepared"), (Prepared, "price"), (QuickHold, "line"), (QuickHolds, "ask")],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_what_fails_before_anything_is_begun_is_served_by_the_main_flow(
    warm: Warm, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    customer = await warm.customer()
    failing = Failing(monkeypatch, owner, name)
    async with client_of(warm.gateway) as client:
        for _ in range(2):
            assert (await client.ask(get(customer, "/ten"))).status == 200
    assert failing.met == 1
    assert warm.passages.counts == (1, 0, 0)
    await warm.spent(customer, 2 * PRICE)
    await on_again(warm)


UNANSWERED = [
    (H1Client, "pool_of"),
    (Pool, "kept"),
    (Connection, "send"),
    (ResponseReader, "take"),
    (Priced, "how"),
    (passage_module, "_below"),
    (RouteLimits, "lines"),
    (StrictHttpProtocol, "write"),
]


@pytest.mark.parametrize("step", UNANSWERED, ids=[name for _, name in UNANSWERED])
@pytest.mark.parametrize("pipelined", [False, True])
async def test_a_failure_before_the_answer_costs_nothing(
    warm: Warm,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: tuple[Any, str],
    pipelined: bool,
) -> None:
    """The connection ends without one; what the client sent behind it is not begun."""
    customer = await warm.customer()
    if step == (ResponseReader, "take"):  # nobody takes the body of a head that came before
        warm.backend.plays["/ten"] = answer(200, b"ok", b"x-other: head")
    failing = Failing(monkeypatch, *step)
    with caplog.at_level(logging.ERROR):
        async with client_of(warm.gateway) as client:
            await client.raw.send(get(customer, "/ten") * (1 + pipelined))
            assert await client.closed() == b""
    assert failing.met == 1
    assert warm.passages.dropped == 1
    assert "the fast path failed" in caplog.text
    await warm.spent(customer, 0)
    await on_again(warm)


UNBEGUN = [
    (H1Client, "pool_of"),
    (Connection, "send"),
    (RouteLimits, "headers"),
    (Turn, "begin_at_once"),
    (Connection, "take"),
    (Turn, "pass_on"),
    (StrictHttpProtocol, "write"),
]


@pytest.mark.parametrize("step", UNBEGUN, ids=[name for _, name in UNBEGUN])
async def test_a_failure_before_a_stream_is_begun_costs_nothing(
    warm: Warm, monkeypatch: pytest.MonkeyPatch, step: tuple[Any, str]
) -> None:
    customer = await warm.customer()
    warm.backend.plays["/chat"] = STREAM
    failing = Failing(monkeypatch, *step)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/chat", method="POST"))
        assert await client.closed() == b""
    assert failing.met == 1
    assert warm.passages.dropped == 1
    await warm.spent(customer, 0)
    warm.backend.plays.clear()
    await on_again(warm)


async def test_a_failure_behind_a_streams_first_piece_cuts_it(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On its way to the main flow: what the client has does not look whole."""
    customer = await warm.customer()
    warm.backend.plays["/chat"] = STREAM
    failing = Failing(monkeypatch, StrictHttpProtocol, "leave_to_application")
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/chat", method="POST"))
        assert (await client.raw.head()).startswith(b"HTTP/1.1 200 OK\r\n")
        assert await client.closed() == b"5\r\nfirst\r\n"
    assert failing.met == 1
    assert warm.passages.dropped == 1
    await warm.spent(customer, 0)
    warm.backend.plays.clear()
    await on_again(warm)


@pytest.mark.parametrize(
    ("owner", "name", "taken"),
    [
        (QuickHolds, "settle", 0),
        (Pool, "give_back", PRICE),
        (Metrics, "settled", PRICE),
        (Metrics, "count", PRICE),
        (AccessLog, "add", PRICE),
        (Passage, "_note", PRICE),
        (StrictHttpProtocol, "passed", PRICE),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_failure_behind_the_answer(
    warm: Warm, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, taken: int
) -> None:
    """The client has it whole, and pays for it unless that is what failed."""
    customer = await warm.customer()
    failing = Failing(monkeypatch, owner, name)
    async with client_of(warm.gateway) as client:
        assert (await client.ask(get(customer, "/ten"))).body == b"ok"
        assert await client.closed() == b""
    assert failing.met == 1
    assert warm.passages.dropped == 1
    await warm.spent(customer, taken)
    await on_again(warm)


async def test_a_failure_on_the_way_to_the_main_flow(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hold granted and the request at its backend."""
    customer = await warm.customer()
    warm.backend.plays["/ten"] = answer(200, b"x" * 100_000)
    failing = Failing(monkeypatch, StrictHttpProtocol, "leave_to_application")
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/ten"))
        assert await client.closed() == b""
    assert failing.met == 1
    await warm.spent(customer, 0)
    warm.backend.plays.clear()
    await on_again(warm)


async def test_a_failure_of_the_main_flow_gives_back_what_was_begun(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it has taken anything of it over."""
    customer = await warm.customer()
    warm.backend.plays["/ten"] = answer(200, b"x" * 100_000)
    for path, expected in (
        ("gateway.proxy.canonical_path", 500),
        ("gateway.proxy.hold_order", 500),
        ("gateway.proxy.upstream_request", 500),
    ):
        with monkeypatch.context() as patch:

            def fail(*_args: Any, **_more: Any) -> Any:
                raise Fault

            patch.setattr(path, fail)
            async with client_of(warm.gateway) as client:
                assert (await client.ask(get(customer, "/ten"))).status == expected
            assert warm.passages.counts == (0, 1, 0)
            warm.passages.clear()
        async with client_of(warm.gateway) as client:  # so that a connection is kept again
            assert (await client.ask(get(customer, "/ok"))).status == 200
        warm.passages.clear()
    await warm.spent(customer, 3)
