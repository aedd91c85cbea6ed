"""What a steward decides by itself: the windows, and what becomes of jobs that run beside it."""

import asyncio

import pytest

from config import load_price_list
from gateway.price_feed import InForce
from gateway.steward import growing_of, running, windows_of

TEXT = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 }, unused: { scale: 0 } }
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes:
  - { path: /a, upstream: api, price: 2 }
  - { path: /b, upstream: api, price: 7 }
  - { path: /c, upstream: api, price: { flat: "0.25", credit_type: calling } }
"""
NUMBERS = {"credits": 1, "calling": 2, "unused": 3}


def test_a_window_has_room_for_a_thousand_of_the_dearest_requests() -> None:
    prices = load_price_list(TEXT, environ={})
    assert windows_of(InForce(prices, 1, NUMBERS)) == {1: 7_000, 2: 25_000, 3: 1_000}


def test_a_window_in_the_file_is_taken_as_it_is() -> None:
    text = TEXT.replace("credits: { scale: 0 }", "credits: { scale: 0, window: 50 }")
    prices = InForce(load_price_list(text, environ={}), 1, NUMBERS)
    assert windows_of(prices)[1] == 50
    assert growing_of(prices) == {2, 3}


@pytest.mark.anyio
async def test_jobs_end_with_the_block() -> None:
    ended = []

    async def job() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("job")

    async with running(job()):
        await asyncio.sleep(0)
    assert ended == ["job"]


@pytest.mark.anyio
async def test_a_job_that_breaks_ends_the_process_so_that_another_starts() -> None:
    async def broken() -> None:
        raise ValueError("a bug")

    with pytest.raises(ExceptionGroup) as group:
        async with running(broken()):
            await asyncio.Event().wait()
    assert isinstance(group.value.exceptions[0], ValueError)
