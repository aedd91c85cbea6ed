"""The rows of the bench, each a module that measures one thing and counts that it was right."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.found import Found
from bench.measures.body import body
from bench.measures.cpu import cpu
from bench.measures.disconnects import disconnects
from bench.measures.memory import memory
from bench.measures.posting import posting
from bench.measures.redis_cpu import redis_cpu
from bench.measures.sse import sse
from bench.measures.tls import tls
from bench.measures.websocket import websocket
from bench.run import Run


@dataclass(frozen=True)
class Row:
    """
    One row.

    needs_nginx: wrk as well; without them it is left out, and the report says so.
    is_long: minutes; `--quick` leaves it out unless it is named.
    """

    measure: Callable[[Run], Awaitable[Found]]
    needs_nginx: bool = False
    is_long: bool = False


ROWS = {
    "cpu": Row(cpu, needs_nginx=True),
    "sse": Row(sse),
    "tls": Row(tls, needs_nginx=True),
    "body": Row(body, needs_nginx=True),
    "websocket": Row(websocket),
    "posting": Row(posting),
    "redis": Row(redis_cpu),
    "memory": Row(memory, needs_nginx=True, is_long=True),
    "disconnects": Row(disconnects),
}
"""By name, in the order of the report."""

__all__ = ["ROWS", "Row"]
