"""
The process that started this one, as its children see it.

Standard input is a socket to the parent. The parent writes one line of JSON, the orders;
the child answers with one when it is ready; and when the parent is gone, however it died,
the socket ends. So there is no pid file to be stale and no signal to be missed.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

DRAIN_LIMIT_S = 30
"""How long requests in flight may take to end once a process is told to stop."""

HUNG_LIMIT_S = DRAIN_LIMIT_S + 30
"""A process whose parent is gone ends by then, whatever it hangs on: nobody else would end it."""


class Parent:
    """The `serve` that started this process, at the other end of standard input."""

    def __init__(self) -> None:
        """Read the orders; leaves at once when a person started this module by hand."""
        try:
            self._channel = socket.socket(fileno=os.dup(0))
        except OSError:
            sys.exit("this module is started by farebox serve, not by hand")
        with self._channel.makefile("rb") as lines:
            line = lines.readline()
        if not line:
            sys.exit(0)  # the parent died before it could say anything
        self.orders: dict[str, Any] = json.loads(line)

    def ready(self, **told: Any) -> None:
        """Tell the parent that this process does its work now, and what else it should know."""
        # Where the parent is gone already, `on_stop` sees it and ends us in order.
        with contextlib.suppress(OSError):
            self._channel.sendall(json.dumps(told).encode() + b"\n")

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Call `stop`, perhaps more than once, when told to end (SIGTERM) or left alone."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop)
        # A terminal's Ctrl-C is the parent's to handle: it ends us in the right order.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def parent_spoke() -> None:
            if not self._channel.recv(64):
                loop.remove_reader(self._channel)
                signal.alarm(HUNG_LIMIT_S)
                stop()

        loop.add_reader(self._channel, parent_spoke)


def log_to_stderr(name: str) -> None:
    """Print what the process has to say, with its name: several share one terminal."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format=f"farebox: {name}: %(message)s"
    )
    # Libraries speak only when something is wrong.
    for library in ("asyncio", "httpx", "httpcore", "stripe", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # Its pool prints a stack for each attempt at a Postgres that is away; we say that once.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
