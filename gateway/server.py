"""uvicorn, as the processes of `serve` run it: on an inherited socket, ended by the parent."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from gateway.parent import DRAIN_LIMIT_S, Parent


class Server(uvicorn.Server):
    """uvicorn, without its own idea of signals, and telling when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        """Serve by `config`; call `started` once requests are answered."""
        super().__init__(config)
        self._on_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would raise them again once it has ended in order."""
        yield

    def stop(self) -> None:
        """Stop accepting, let what is in flight end, then leave `serve`."""
        self.should_exit = True


async def serve_app(app: Any, parent: Parent, *, socket_fd: int, **settings: Any) -> None:
    """
    Answer HTTP on an inherited socket until the parent says stop or is gone.

    Date and Server are not added here: a proxied answer carries its upstream's own, and a
    second one beside it would be a lie; our own answers set Date where they are made.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=DRAIN_LIMIT_S,
        **{"http": "httptools", **settings},
    )
    server = Server(config, parent.ready)
    parent.on_stop(server.stop)
    await server.serve(sockets=[socket.socket(fileno=socket_fd)])
