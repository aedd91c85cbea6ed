"""What every peer is given, and what it says of itself."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.upstream import Upstream


@dataclass(frozen=True)
class Stage:
    """What peers share: a folder for their files, the backend, and a Redis without persistence."""

    folder: Path
    upstream: Upstream
    redis_socket: Path


@dataclass(frozen=True)
class Peer:
    """
    A gateway that answers.

    pids: the processes that carry requests; their CPU is what a request costs.
    others: what works beside them, by name, shown apart: posting, stores.
    script: what wrk is to send, where that is not a plain GET.
    stored_bytes: what Postgres has grown by since it started, where there is one.
    charged: how many units it has taken so far; None where it bills nobody.
    """

    url: str
    headers: dict[str, str]
    pids: Sequence[int]
    others: dict[str, Sequence[int]] = field(default_factory=dict)
    charged: Callable[[], int] | None = None
    stored_bytes: Callable[[], int] | None = None
    script: Path | None = None


Opener = Callable[[Stage], AbstractAsyncContextManager[Peer]]
