"""
What the points call, in a process that may die: counting, and the one death.

Nothing happens until `arm` or `record`; from then on each passing counts.
"""

import os
import signal
from collections import Counter
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

hits: Counter[str] = Counter()
"""How often each point was passed since `record`."""

_state: dict[str, Any] = {"live": False, "point": None, "left": 0}


def record() -> None:
    """Count from here on, and let live."""
    _state["live"] = True


def arm(point: str, hit: int) -> None:
    """Die at a point, as by `kill -9`, when it is passed for the n-th time from here on."""
    _state.update(live=True, point=point, left=hit)


def disarm() -> None:
    """Let live, and count no more."""
    _state["live"] = False


def pass_by(point: str) -> None:
    if not _state["live"]:
        return
    hits[point] += 1
    if point == _state["point"]:
        _state["left"] -= 1
        if _state["left"] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def behind(point: str, value: T) -> T:
    pass_by(point)
    return value


class around(Generic[T]):  # noqa: N801 - reads as what it does
    """An asynchronous context manager with points at both of its waits."""

    def __init__(self, before: str, entered: str, leaving: str, left: str, inner: Any) -> None:
        self._points = before, entered, leaving, left
        self._inner = inner

    async def __aenter__(self) -> Any:
        pass_by(self._points[0])
        return behind(self._points[1], await self._inner.__aenter__())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Any:
        pass_by(self._points[2])
        return behind(self._points[3], await self._inner.__aexit__(kind, error, trace))


class steps:  # noqa: N801 - reads as what it does
    """An asynchronous iterator with points at each step."""

    def __init__(self, before: str, after: str, inner: Any) -> None:
        self._points = before, after
        self._inner = inner

    def __aiter__(self) -> "steps":
        self._inner = self._inner.__aiter__()
        return self

    async def __anext__(self) -> Any:
        pass_by(self._points[0])
        return behind(self._points[1], await self._inner.__anext__())
