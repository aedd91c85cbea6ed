"""One client's connection: requests in, one at a time, each with its answer, under time limits."""

import asyncio
import socket
import struct
from functools import partial
from math import inf
from typing import Any, ClassVar, Final, Protocol, cast
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.framing.answering import Answering
from gateway.framing.crowd import Crowd
from gateway.framing.fast import FastPath, Passage
from gateway.framing.framing import Framing, Phase
from gateway.framing.head import Head
from gateway.framing.limits import FramingLimits
from gateway.framing.refusal import Refusal
from gateway.framing.sweep import Sweep
from gateway.framing.turn import TURN, Refused, Turn
from gateway.framing.upgrade import Given, Successor
from gateway.framing.witness import Nobody, Witness

_TOO_SLOW = Refusal(408, "request-timeout", "The request did not arrive in time.")
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_NO_LINGERING = struct.pack("ii", 1, 0)
_BODY, _COMPLETE, _HEAD, _REFUSED = Phase.BODY, Phase.COMPLETE, Phase.HEAD, Phase.REFUSED


class Application(Protocol):
    """What serves requests without ASGI's messages in between: a bound method."""

    async def __call__(self, turn: Turn) -> None:
        """Answer this one."""


class StrictHttpProtocol(asyncio.Protocol):
    """
    One client's connection; give the class to uvicorn as `http`.

    The application gets one request at a time, all by one task: what a client sends ahead waits in
    the framing until the answer before it is complete. A request refused amid its body looks to
    the application like a client that has gone: `http.disconnect` comes before the body's end.
    Where the client was told so, it is in the turn: the refusal says that nothing is charged.
    """

    limits: ClassVar[FramingLimits] = FramingLimits()
    witness: ClassVar[Witness] = Nobody()
    application: ClassVar[Application | None] = None
    fast: ClassVar[FastPath | None] = None
    # One of each per server; they go with the server's state.
    _sweeps: ClassVar[WeakKeyDictionary[ServerState, Sweep]] = WeakKeyDictionary()
    _crowds: ClassVar[WeakKeyDictionary[ServerState, Crowd]] = WeakKeyDictionary()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        loop = _loop or asyncio.get_running_loop()
        sweep = self._sweeps.get(server_state)
        if sweep is None:
            swept = cast("set[StrictHttpProtocol]", server_state.connections)
            sweep = Sweep(loop, swept, self.limits.sweep_ms / 1000)
            self._sweeps[server_state] = sweep
        # First what every request of the fast path asks for: attributes lie in this order, and of
        # many connections each is far from the caches when its turn comes.
        self._framing = Framing(self.limits)
        self._deadline = inf
        self._head: Head | None = None  # of the request begun last
        self._passage: Passage | None = None
        self._passing = False  # a request is under way in it
        self._transport = cast("asyncio.Transport", None)
        self.write_paused = False
        self._sweep = sweep
        self._keep_alive_s = config.timeout_keep_alive
        self.peer = ""
        self._reading_paused = False
        self._server_state = server_state
        # And now the others.
        self._turn: Turn | None = None  # begun last, perhaps answered
        self._stalled_since = inf
        self._unsent_bytes = 0
        self._answering: Answering | None = None
        self._writable: asyncio.Event | None = None
        self._drained_bytes = 0
        self.scheme = b"http"
        self._counted = False
        self._crowd = self._crowds.setdefault(server_state, Crowd())
        self._app: Any = config.loaded_app
        self._app_state = app_state
        self._connections = cast("set[Successor]", server_state.connections)

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and the time to its first head."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(cast("Successor", self))
        peer = _address_of(transport.get_extra_info("peername"))
        self.peer = peer[0] if peer else ""
        if transport.get_extra_info("sslcontext") is not None:
            self.scheme = b"https"
        self._sweep.start()
        self._deadline = self._sweep.now + self.limits.head_ms / 1000
        full = self._crowd.enter(self.peer, self.limits, self.witness.is_shared)
        self._counted = full is None
        if full is not None:
            # Closed at once: to listen for a while, as elsewhere, is what there is no room for.
            self._framing.phase = _REFUSED
            self._tell(full)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another, and tell the application."""
        del exc
        self._make_room()
        self._connections.discard(cast("Successor", self))
        self._leave_passage()
        if self._turn is not None:
            self._turn.leave()
        self.resume_writing()
        if self._answering is not None:
            self._answering.end()
        self._part()

    def data_received(self, data: bytes) -> None:
        """Take what the framing understands."""
        framing = self._framing
        head = framing.again(data)
        if head is not None:
            self._deadline = inf
            self._begin(head, b"")
            return
        before = framing.phase
        if before is _REFUSED:
            return
        self._take(framing.feed(data), before)
        phase = framing.phase
        if phase is _COMPLETE:
            self._deadline = inf
            if before is _BODY and self._is_answered():
                self._go_on()
            elif framing.kept_bytes > self.limits.kept_back_bytes:
                self._stop_reading()
        elif phase is _BODY:
            self._in_body(len(data))
        elif phase is _HEAD and before is not _HEAD:
            self._deadline = self._sweep.now + self.limits.head_ms / 1000

    def eof_received(self) -> None:
        """Let the transport close, which leads to `connection_lost`."""

    def pause_writing(self) -> None:
        """Note that the client takes the answer slower than it is made."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Let the answer go on."""
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()

    # What the server calls

    def shutdown(self) -> None:
        """End after the answer under way."""
        self._leave_passage()
        if self._turn is None or self._turn.complete:
            self._transport.close()
        else:
            self._turn.keep_alive = False

    # What the sweep calls

    def expire(self, now: float) -> None:
        """Act on the time limits that have passed; see `FramingLimits`."""
        if self._is_stalled(now):
            self._transport.abort()
            return
        if self._deadline > now:
            return
        phase = self._framing.phase
        turn = self._turn
        if phase is _HEAD:
            self._refuse(_TOO_SLOW)
        elif phase is not _BODY or turn is None:
            self._transport.close()
        elif turn.complete:
            self._let_go()  # it has its answer; a second one would be taken for another request's
        elif self._reading_paused or turn.waits_for_continue:
            # We are the ones who are not ready; the client is not late.
            self._deadline = now + self.limits.body_ms / 1000
        else:
            self._refuse(_TOO_SLOW)

    def _is_stalled(self, now: float) -> bool:
        unsent = self._transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent_bytes:
            self._unsent_bytes = unsent
            self._stalled_since = now
            return False
        return now - self._stalled_since > self.limits.stall_ms / 1000

    # What a turn calls

    def write(self, data: bytes) -> None:
        """Send this, in order; to a client that is gone, nothing."""
        if not self._transport.is_closing():  # uvloop's transports raise where asyncio's drop
            self._transport.write(data)

    def go_on_reading(self) -> None:
        """Read the client's bytes again, if reading was stopped."""
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()

    async def drained(self) -> None:
        """Return when the client takes more, or is gone."""
        while self.write_paused:
            if self._writable is None:
                self._writable = asyncio.Event()
            self._writable.clear()
            await self._writable.wait()

    def arrived(self) -> bool:
        """Whether all of the request's body is here; what follows waits until it is answered."""
        return self._framing.phase is _COMPLETE

    def answered(self, turn: Turn) -> None:
        """Go on to the next request, if there may be one."""
        if turn.keep_alive:
            self._next_request()
        else:
            self._server_state.total_requests += 1
            self._transport.close()

    # What a passage calls

    def passed(self) -> None:
        """Go on to the next request: all of the answer was written."""
        self._passing = False
        if self._reading_paused or not self._framing.rest():
            self._next_request()
            return
        self._server_state.total_requests += 1
        self._deadline = self._sweep.now + self._keep_alive_s

    def drop(self) -> None:
        """End the connection: a request in it cannot be answered."""
        self._passage, self._passing = None, False
        self._transport.close()

    def leave_to_application(self, turn: Turn) -> None:
        """Let the application answer, with what was begun; the body is in there."""
        self._passage, self._passing = None, False
        if self._transport.is_closing():
            turn.leave()
        self._hand_on(turn)

    # What both lead to

    def _next_request(self) -> None:
        self._server_state.total_requests += 1
        if self._transport.is_closing():
            return
        self.go_on_reading()
        if self._framing.phase is _COMPLETE:
            self._go_on()
        else:
            self._drained_bytes = 0

    def cut(self, turn: Turn) -> None:
        """End an answer so that the client cannot take it for whole."""
        if turn.endless and not self._transport.is_closing():
            # An orderly end would say that this was all: send what goes at once, then reset.
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
            self._transport.abort()
        else:
            self._transport.close()

    def give_away(self, turn: Turn, successor: Successor, head: bytes) -> Given | None:
        """Answer a handshake and leave the connection; None where the client is gone."""
        transport = self._transport
        if turn.disconnected or turn.started or transport.is_closing():
            return None
        turn.started = turn.complete = True
        turn.tell()
        if self._answering is not None:
            self._answering.end()
        self._connections.discard(cast("Successor", self))
        self._connections.add(successor)
        self._server_state.total_requests += 1
        transport.write(head)
        transport.set_protocol(cast("asyncio.Protocol", successor))
        transport.resume_reading()
        return Given(transport, partial(self._forget, successor), self._framing.give_up())

    def scope_of(self, turn: Turn) -> dict[str, Any]:
        """Return ASGI's picture of a request, its target as the client wrote it."""
        head = turn.head
        raw_path, _, query = head.target.partition(b"?")
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.0" if head.block.old else "1.1",
            "server": _address_of(self._transport.get_extra_info("sockname")),
            "client": _address_of(self._transport.get_extra_info("peername")),
            "scheme": self.scheme.decode(),
            "root_path": "",
            "method": head.method.decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": head.block.headers,
            "state": self._app_state.copy(),
            TURN: turn,
        }

    # The parts

    def _take(self, body: bytes, before: Phase) -> None:
        """Take what came of a body, or the head that a new request begins with."""
        framing = self._framing
        phase = framing.phase
        turn = self._turn
        head = framing.head
        if head is not None and head is not self._head:
            if phase is _COMPLETE and framing.refusal is None:
                self._begin(head, body)
            else:
                self._head = head
                turn = Turn(self, head)
                if turn.take(body, ended=False):
                    self._stop_reading()
                self._hand_on(turn)
        elif turn is not None and before is _BODY and turn.take(body, ended=phase is _COMPLETE):
            self._stop_reading()
        if framing.refusal is not None:
            self._refuse(framing.refusal)

    def _begin(self, head: Head, body: bytes) -> None:
        """Begin a request that is here with all of its body."""
        self._head = head
        passage = self._passage
        if passage is None and self.fast is not None:
            passage = self._passage = self.fast.passage(self)
        if passage is not None and passage.begin(head, body):
            self._passing = True
            return
        turn = Turn(self, head)
        if head.block.body_bytes and turn.take(body, ended=True):
            self._stop_reading()
        self._hand_on(turn)

    def _leave_passage(self) -> None:
        if self._passing and self._passage is not None:
            self._passage.leave()

    def _hand_on(self, turn: Turn) -> None:
        """Hand a request to the connection's task."""
        self._turn = turn
        if self._answering is None:
            serve = self.application or self._serve_asgi
            tasks = self._server_state.tasks
            self._answering = Answering(serve, tasks, self._transport.close)
        self._answering.take(turn)

    async def _serve_asgi(self, turn: Turn) -> None:
        await self._app(self.scope_of(turn), turn.receive, turn.send)

    def _is_answered(self) -> bool:
        return self._turn is not None and self._turn.complete

    def _stop_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Begin the next request; wait for it as long as connections are kept alive."""
        framing = self._framing
        self._deadline = self._sweep.now + self._keep_alive_s
        if framing.kept_bytes:
            self._take(framing.next(), Phase.IDLE)
        else:
            framing.next()
        phase = framing.phase
        if phase is _COMPLETE:
            self._deadline = inf
        elif phase is _HEAD:
            self._deadline = self._sweep.now + self.limits.head_ms / 1000
        elif phase is _BODY:
            self._in_body(0)

    def _in_body(self, more_bytes: int) -> None:
        if not self._is_answered():
            self._deadline = self._sweep.now + self.limits.body_ms / 1000
            return
        # Answered already: the rest is only read to be rid of it, in the time it has left.
        self._drained_bytes += more_bytes
        if self._drained_bytes > self.limits.drain_bytes:
            self._let_go()

    def _part(self) -> None:
        """Let go of what knows this connection: the collector seldom comes by."""
        self._passage = self._turn = self._answering = None

    def _forget(self, successor: Successor) -> None:
        """Note the end of a connection that was given away: until then it is one of those here."""
        self._connections.discard(successor)
        self._make_room()

    def _make_room(self) -> None:
        if self._counted:
            self._counted = False
            self._crowd.leave(self.peer)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, if an answer is still possible, and let the client go."""
        self._framing.phase = _REFUSED
        turn = self._turn
        if turn is None or turn.complete:
            self._tell(refusal)
        else:
            turn.leave()
            if turn.started:
                self._transport.close()
                return
            turn.refused = Refused(refusal, turn.request_id or self.witness.new_id())
            self.write(refusal.answer(self.witness.prefix, turn.refused.request_id))
        self._let_go()

    def _tell(self, refusal: Refusal) -> None:
        """Answer for a request of which the application never hears."""
        witness = self.witness
        request_id = witness.new_id()
        witness.refused(refusal, request_id, self.peer)
        self.write(refusal.answer(witness.prefix, request_id))

    def _let_go(self) -> None:
        """End the connection so that the client can read what it was told, even while it sends."""
        self._framing.phase = _REFUSED
        if self._transport.is_closing():
            return
        if not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self.go_on_reading()
        self._deadline = self._sweep.now + self.limits.linger_ms / 1000


def _address_of(name: Any) -> tuple[str, int] | None:
    """Return address and port; None for a Unix socket."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def strict_http(
    limits: FramingLimits,
    witness: Witness | None = None,
    application: Application | None = None,
    fast: FastPath | None = None,
) -> type[StrictHttpProtocol]:
    """
    Make the protocol class with limits of one's own, and with somebody who hears of refusals.

    `application` takes requests as they are; without one the server's ASGI application is asked.
    `fast` is asked first, and may take them or what it has begun of them to the application.
    """
    own: dict[str, object] = {"limits": limits, "witness": witness or Nobody(), "fast": fast}
    if application is not None:
        own["application"] = application
    return type("StrictHttpProtocol", (StrictHttpProtocol,), own)
