"""The body of a request: read once, limited, forwarded byte for byte."""

import pytest

from gateway.asgi import Message
from gateway.request import BodyTooLarge, ClientGone, Request
from tests.gateway.turns import request_of

pytestmark = pytest.mark.anyio


def request(*pieces: bytes, length: int | None = None, gone: bool = False) -> Request:
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": gone or number < len(pieces) - 1}
        for number, piece in enumerate(pieces)
    ]
    if gone:
        messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    framing = (
        (b"transfer-encoding", b"chunked")
        if length is None
        else (b"content-length", str(length).encode())
    )
    scope = {
        "method": "POST",
        "raw_path": b"/x",
        "query_string": b"",
        "headers": [(b"host", b"api.example"), framing],
        "scheme": "http",
        "client": None,
    }
    return request_of(scope, receive)


async def test_a_gathered_body_is_forwarded_byte_for_byte() -> None:
    asked = request(b"ab", b"", b"cd", length=4)
    assert await asked.gather(4) == b"abcd"
    assert asked.body(None) == b"abcd"


async def test_a_body_that_was_not_gathered_streams() -> None:
    asked = request(b"ab", b"cd", length=4)
    assert [piece async for piece in asked.stream(None)] == [b"ab", b"cd"]
    assert asked.body_ended


async def test_a_body_too_large_to_gather_can_still_be_forwarded_whole() -> None:
    """What is only watched is never refused for its size."""
    asked = request(b"abc", b"def", b"g")
    with pytest.raises(BodyTooLarge):
        await asked.gather(4)
    assert b"".join([piece async for piece in asked.stream(None)]) == b"abcdefg"


async def test_an_announced_body_too_large_is_not_read_at_all() -> None:
    asked = request(b"abcdef", length=6)
    with pytest.raises(BodyTooLarge):
        await asked.gather(4)
    assert asked.received_bytes == 0


async def test_a_stream_has_a_limit() -> None:
    asked = request(b"abc", b"def")
    with pytest.raises(BodyTooLarge):
        [piece async for piece in asked.stream(4)]


@pytest.mark.parametrize("how", ["gather", "stream"])
async def test_a_client_that_leaves_before_the_end_is_gone(how: str) -> None:
    asked = request(b"ab", length=4, gone=True)

    async def stream() -> None:
        assert [piece async for piece in asked.stream(None)]

    with pytest.raises(ClientGone):
        await (asked.gather(10) if how == "gather" else stream())


def test_an_empty_body_is_forwarded_as_one() -> None:
    asked = request(b"", length=0)
    assert asked.body(None) == b""
    assert asked.body_ended


def test_no_body_is_no_body() -> None:
    scope = {
        "method": "POST",
        "raw_path": b"/x",
        "query_string": b"",
        "headers": [(b"host", b"api.example")],
        "scheme": "http",
    }

    async def receive() -> Message:
        raise AssertionError("there is nothing to wait for")

    asked = request_of(scope, receive)
    assert asked.body(None) is None
    assert asked.body_ended
