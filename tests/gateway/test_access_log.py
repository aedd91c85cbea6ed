"""One JSON line per request, in batches, with allow-listed fields."""

import asyncio
import json
import logging

import pytest

from gateway import access_log
from gateway.access_log import LINES_AT_ONCE, MANY, MAX_WAITING, AccessLog, Line
from tests.gateway.serving import until

pytestmark = pytest.mark.anyio


def line(request_id: str = "a" * 24) -> Line:
    return Line(
        at_us=1_700_000_000_123_456,
        request_id=request_id,
        method="GET",
        route="asin_query",
        status=200,
        account=1,
        key=2,
        captured=3,
        reason="delivered",
        duration_us=1_500,
        sent_bytes=10,
        client="127.0.0.1",
    )


async def test_lines_are_written_together() -> None:
    written: list[bytes] = []
    log = AccessLog(written.append)
    log.add(line("1" * 24))
    log.add(line("2" * 24))

    await log.flush()

    assert len(written) == 1
    assert [json.loads(one)["id"] for one in written[0].splitlines()] == ["1" * 24, "2" * 24]


async def test_a_line_has_these_fields_and_no_others() -> None:
    written: list[bytes] = []
    log = AccessLog(written.append)
    log.add(line())
    await log.flush()
    assert json.loads(written[0]) == {
        "at": "2023-11-14T22:13:20.123456+00:00",
        "id": "a" * 24,
        "method": "GET",
        "route": "asin_query",
        "status": 200,
        "account": "acc_1",
        "key": "key_2",
        "captured": 3,
        "reason": "delivered",
        "ms": 1.5,
        "sent_bytes": 10,
        "client": "127.0.0.1",
    }


async def test_nothing_to_write_is_not_written() -> None:
    written: list[bytes] = []
    await AccessLog(written.append).flush()
    assert written == []


async def test_many_lines_are_written_before_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits takes memory, and how much waited once stays in the process."""
    monkeypatch.setattr(access_log, "FLUSH_EVERY_S", 600)
    written: list[bytes] = []
    log = AccessLog(written.append)
    running = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    for _ in range(2):
        for _ in range(MANY):
            log.add(line())
        await asyncio.sleep(0.05)
        assert written == []  # nobody is in a hurry yet
        log.add(line())
        await until(lambda: len(b"".join(written).splitlines()) > MANY)
        written.clear()
    running.cancel()


async def test_few_lines_are_written_after_a_while() -> None:
    written: list[bytes] = []
    log = AccessLog(written.append)
    running = asyncio.create_task(log.run())
    for times in (1, 2):
        log.add(line())
        await until(lambda times=times: len(written) == times)
    running.cancel()


async def test_a_slow_reader_costs_lines_and_not_memory(caplog: pytest.LogCaptureFixture) -> None:
    written: list[bytes] = []
    log = AccessLog(written.append)
    for _ in range(MAX_WAITING + 7):
        log.add(line())
    with caplog.at_level(logging.WARNING):
        await log.flush()
    assert len(b"".join(written).splitlines()) == MAX_WAITING
    assert max(map(len, written)) < 100_000
    assert "7 lines lost" in caplog.text


async def test_a_writer_that_fails_does_not_stop_the_log(caplog: pytest.LogCaptureFixture) -> None:
    written: list[bytes] = []

    def write(lines: bytes) -> None:
        if not written:
            written.append(b"")
            raise BrokenPipeError("gone")
        written.append(lines)

    log = AccessLog(write)
    log.add(line())
    with caplog.at_level(logging.WARNING):
        await log.flush()
    log.add(line())
    await log.flush()
    assert len(written) == 2
    assert "1 lines lost" in caplog.text


async def test_lines_that_were_written_before_it_failed_are_not_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    written: list[bytes] = []

    def write(lines: bytes) -> None:
        if len(written) == 2:
            raise BrokenPipeError("gone")
        written.append(lines)

    log = AccessLog(write)
    for _ in range(2 * LINES_AT_ONCE + 5):
        log.add(line())
    with caplog.at_level(logging.WARNING):
        await log.flush()
    assert sum(len(lines.splitlines()) for lines in written) == 2 * LINES_AT_ONCE
    assert "5 lines lost" in caplog.text
