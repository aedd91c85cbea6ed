"""The task of a connection: one serves all of its requests, one after another."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.framing.turn import Turn

_log = logging.getLogger(__name__)


class Answering:
    """
    Hands turns to the application, in a task that is made with the first of them.

    Args:
        serve: The application, for one turn.
        tasks: Of the server, which waits for them when it ends.
        close: Ends the connection: the task was cancelled amid a turn.
    """

    __slots__ = ("_close", "_idle", "_next", "_over", "_serve", "_task", "_tasks")

    def __init__(
        self,
        serve: Callable[[Turn], Awaitable[None]],
        tasks: set[asyncio.Task[None]],
        close: Callable[[], None],
    ) -> None:
        self._serve = serve
        self._tasks = tasks
        self._close = close
        self._task: asyncio.Task[None] | None = None
        self._next: Turn | None = None
        self._idle: asyncio.Future[None] | None = None
        self._over = False

    def take(self, turn: Turn) -> None:
        """Serve this one next; the one before is over."""
        self._next = turn
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._tasks.add(self._task)
            self._task.add_done_callback(self._tasks.discard)
        else:
            self._wake()

    def end(self) -> None:
        """Take no more. What has not begun yet is let be, unless something was done for it."""
        self._over = True
        self._wake()

    def _wake(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None and not idle.done():
            idle.set_result(None)

    async def _run(self) -> None:
        while True:
            turn = self._next
            if self._over and (turn is None or turn.begun is None):
                return
            if turn is None:
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
                continue
            self._next = None
            await self._answer(turn)

    async def _answer(self, turn: Turn) -> None:
        try:
            await self._serve(turn)
        except asyncio.CancelledError:
            self._close()
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer
            _log.exception("the application failed")
            await _fault(turn)
            return
        if not (turn.complete or turn.disconnected):
            _log.error("the application returned without completing its answer")
            await _fault(turn)


async def _fault(turn: Turn) -> None:
    """Say that it is our fault, if anything can be said."""
    if turn.started:
        turn.cut()
    elif not turn.disconnected:
        text = b"Internal Server Error"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(text)),
            (b"connection", b"close"),
        ]
        await turn.begin(500, headers)
        await turn.body(text, more=False)
