"""uvicorn's HTTP protocol behind the strict framing: what uvicorn never sees cannot confuse it."""

import asyncio
from functools import partial
from math import inf
from typing import Any, ClassVar, NamedTuple, cast
from weakref import WeakKeyDictionary

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.framing.crowd import Crowd
from gateway.framing.framing import Framing, Phase
from gateway.framing.limits import FramingLimits
from gateway.framing.refusal import Refusal
from gateway.framing.sweep import Sweep
from gateway.framing.until_close import UntilClose
from gateway.framing.upgrade import UPGRADE, Given, Successor
from gateway.framing.witness import Nobody, Witness
from gateway.framing.writes import JoinedWrites

REFUSED = "farebox.refused"
"""Key of the scope: what a client was told whose request broke a rule amid its body."""

REQUEST_ID = "farebox.id"
"""Key of the scope: how the application names the request, for a refusal amid its body."""

ARRIVED = "farebox.arrived"
"""Key of the scope: a function that says whether all of the request's body has come."""

CUT = "farebox.cut"
"""Key of the scope: a function that ends an answer before its end, and lets the client see it."""

_TOO_SLOW = Refusal(408, "request-timeout", "The request did not arrive in time.")
_NOT_UNDERSTOOD = Refusal(400, "bad-request", "The request is not valid HTTP.")


class Refused(NamedTuple):
    """A refusal that was told, under this id."""

    refusal: Refusal
    request_id: str


def _ours(scope: Any) -> dict[str, Any]:
    """Return the scope as what it is besides a HTTPScope: a dictionary with room for our keys."""
    return cast("dict[str, Any]", scope)


class StrictHttpProtocol(HttpToolsProtocol):
    """
    One client's connection; give the class to uvicorn as `http`.

    uvicorn gets one request at a time: what a client sends ahead waits in the framing until the
    answer before it is complete. A request refused amid its body looks to the application
    like a client that has gone: `http.disconnect` comes before the body's end. Where the client was
    told so, it is in `scope[REFUSED]`: the refusal says that nothing is charged.

    An application that cannot complete an answer says so with `scope[CUT]()`. One that just returns
    has a fault, which uvicorn logs.
    """

    limits: ClassVar[FramingLimits] = FramingLimits()
    witness: ClassVar[Witness] = Nobody()
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
        super().__init__(config, server_state, app_state, _loop)
        self._framing = Framing(self.limits)
        self._deadline = inf
        self._drained_bytes = 0
        self._unsent_bytes = 0
        self._stalled_since = inf
        self._until_close: UntilClose | None = None
        sweep = self._sweeps.get(server_state)
        if sweep is None:
            connections = cast("set[StrictHttpProtocol]", server_state.connections)
            sweep = Sweep(self.loop, connections, self.limits.sweep_ms / 1000)
            self._sweeps[server_state] = sweep
        self._sweep = sweep
        self._crowd = self._crowds.setdefault(server_state, Crowd())
        self._counted = False

    # What the event loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the joined writes in front of the transport, and count the time to the first head."""
        self._writes = JoinedWrites(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._writes))
        self._sweep.start()
        self._deadline = self._sweep.now + self.limits.head_ms / 1000
        full = self._crowd.enter(self._address, self.limits, self.witness.is_shared)
        self._counted = full is None
        if full is not None:
            # Closed at once: to listen for a while, as elsewhere, is what there is no room for.
            self._framing.phase = Phase.REFUSED
            self._tell(full)
            self._writes.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another."""
        self._make_room()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Let through what the framing lets through."""
        framing = self._framing
        before = framing.phase
        if before is Phase.REFUSED:
            return
        self._pass(framing.feed(data))
        phase = framing.phase
        if phase is Phase.COMPLETE:
            self._deadline = inf
            if before is Phase.BODY and self.cycle.response_complete:
                self._go_on()
            elif framing.kept_bytes > self.limits.kept_back_bytes:
                self.flow.pause_reading()
        elif phase is Phase.BODY:
            self._in_body(len(data))
        elif phase is Phase.HEAD and before is not Phase.HEAD:
            self._deadline = self._sweep.now + self.limits.head_ms / 1000

    # What uvicorn's own code calls

    def on_headers_complete(self) -> None:
        """Begin the request, with its target as the client wrote it."""
        super().on_headers_complete()
        path, _, query = self.url.partition(b"?")
        self.scope["raw_path"] = path
        self.scope["query_string"] = query
        ours = _ours(self.scope)
        ours[CUT] = partial(self._cut, self.cycle)
        ours[ARRIVED] = self._has_arrived
        if self._framing.last and self.cycle is not None:
            self.cycle.keep_alive = False
            if self._framing.upgrade:
                ours[UPGRADE] = partial(self._give_away, self.cycle)
            if self.scope["http_version"] == "1.0":
                self._until_close = UntilClose(self.cycle)

    def on_response_complete(self) -> None:
        """Send the rest of the answer and go on to the next request, if it is here."""
        self.server_state.total_requests += 1
        self._writes.flush()
        if self._writes.is_closing():
            return
        self.flow.resume_reading()
        if self._framing.phase is Phase.COMPLETE:
            self._go_on()
        else:
            self._drained_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Refuse in our own words."""
        del msg
        self._refuse(_NOT_UNDERSTOOD)

    def _unset_keepalive_if_required(self) -> None:
        """Do nothing: the sweep watches idle connections, there is no timer to cancel."""

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: the application answers a handshake it does not want."""

    # What the sweep calls

    def expire(self, now: float) -> None:
        """Act on the time limits that have passed; see `FramingLimits`."""
        if self._is_stalled(now):
            self._writes.abort()
            return
        if self._deadline > now:
            return
        phase = self._framing.phase
        if phase is Phase.HEAD:
            self._refuse(_TOO_SLOW)
        elif phase is not Phase.BODY:
            self._writes.close()
        elif self.cycle.response_complete:
            self._let_go()  # it has its answer; a second one would be taken for another request's
        elif self.flow.read_paused or self.cycle.waiting_for_100_continue:
            # We are the ones who are not ready; the client is not late.
            self._deadline = now + self.limits.body_ms / 1000
        else:
            self._refuse(_TOO_SLOW)

    def _is_stalled(self, now: float) -> bool:
        unsent = self._writes.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent_bytes:
            self._unsent_bytes = unsent
            self._stalled_since = now
            return False
        return now - self._stalled_since > self.limits.stall_ms / 1000

    # The parts

    def _pass(self, passed: bytes) -> None:
        if passed:
            try:
                self.parser.feed_data(passed)
            except httptools.HttpParserUpgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
            except httptools.HttpParserError:
                # Tests find no request that comes here; were there one, it is refused all the same.
                self._refuse(_NOT_UNDERSTOOD)
                return
        if self._framing.refusal is not None:
            self._refuse(self._framing.refusal)

    def _go_on(self) -> None:
        """Begin the next request; wait for it as long as connections are kept alive."""
        framing = self._framing
        self._deadline = self._sweep.now + self.timeout_keep_alive
        passed = framing.next()
        if passed or framing.refusal is not None:
            self._pass(passed)
        if framing.phase is Phase.COMPLETE:
            self._deadline = inf
        elif framing.phase is Phase.HEAD:
            self._deadline = self._sweep.now + self.limits.head_ms / 1000
        elif framing.phase is Phase.BODY:
            self._in_body(0)

    def _in_body(self, more_bytes: int) -> None:
        if not self.cycle.response_complete:
            self._deadline = self._sweep.now + self.limits.body_ms / 1000
            return
        # Answered already: the rest is only read to be rid of it, in the time it has left.
        self._drained_bytes += more_bytes
        if self._drained_bytes > self.limits.drain_bytes:
            self._let_go()

    def _has_arrived(self) -> bool:
        # The framing does not go on to the next request before this one is answered.
        return self._framing.phase is Phase.COMPLETE

    def _cut(self, cycle: RequestResponseCycle) -> None:
        """End an answer that cannot be completed, so that the client cannot take it for whole."""
        if cycle.response_complete or cycle.disconnected:
            return
        cycle.disconnected = True
        if self._until_close is not None and self._until_close.endless:
            self._writes.reset()  # an orderly end would say that this was all
        else:
            self._writes.close()

    def _give_away(
        self, cycle: RequestResponseCycle, successor: Successor, head: bytes
    ) -> Given | None:
        """Answer a handshake and leave the connection; see `UPGRADE`."""
        if cycle.disconnected or cycle.response_started or self._writes.is_closing():
            return None
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        connections = cast("set[Successor]", self.server_state.connections)
        connections.discard(self)
        connections.add(successor)
        self.server_state.total_requests += 1
        self._writes.write(head)
        transport = self._writes.bare()
        transport.set_protocol(cast("asyncio.Protocol", successor))
        transport.resume_reading()
        return Given(transport, partial(self._forget, successor), self._framing.give_up())

    def _forget(self, successor: Successor) -> None:
        """Note the end of a connection that was given away: until then it is one of those here."""
        cast("set[Successor]", self.server_state.connections).discard(successor)
        self._make_room()

    def _make_room(self) -> None:
        if self._counted:
            self._counted = False
            self._crowd.leave(self._address)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, if an answer is still possible, and let the client go."""
        self._framing.phase = Phase.REFUSED
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._tell(refusal)
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self._writes.close()
                return
            scope = _ours(cycle.scope)
            told = Refused(refusal, scope.get(REQUEST_ID) or self.witness.new_id())
            scope[REFUSED] = told  # the application notes it
            self._writes.write(refusal.answer(self.witness.prefix, told.request_id))
        self._let_go()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _tell(self, refusal: Refusal) -> None:
        """Answer for a request of which the application never hears."""
        witness = self.witness
        request_id = witness.new_id()
        witness.refused(refusal, request_id, self._address)
        self._writes.write(refusal.answer(witness.prefix, request_id))

    def _let_go(self) -> None:
        """End the connection so that the client can read what it was told, even while it sends."""
        self._framing.phase = Phase.REFUSED
        if not self._writes.can_write_eof():
            self._writes.close()
            return
        self._writes.write_eof()
        self.flow.resume_reading()
        self._deadline = self._sweep.now + self.limits.linger_ms / 1000


def strict_http(limits: FramingLimits, witness: Witness | None = None) -> type[StrictHttpProtocol]:
    """Make the protocol class with limits of one's own, and with somebody who hears of refusals."""
    own = {"limits": limits, "witness": witness or Nobody()}
    return type("StrictHttpProtocol", (StrictHttpProtocol,), own)
