"""Requests that no server has read: for what looks at a request and answers nothing."""

from collections.abc import Mapping
from typing import Any

from gateway.asgi import AsgiTurn, Receive
from gateway.request import Request


def request_of(scope: Mapping[str, Any], receive: Receive) -> Request:
    """The request of an ASGI server."""

    async def send(message: object) -> None:
        raise AssertionError(f"nothing is to be answered, but {message} was")

    return Request(AsgiTurn(dict(scope), receive, send))
