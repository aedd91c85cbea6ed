"""One connection's way through the fast path: one request at a time."""

import asyncio
import logging
from binascii import hexlify
from typing import TYPE_CHECKING, Final, cast

from gateway.access_log import Line
from gateway.answer import shown_amount, underway
from gateway.fast_path.begun import Begun
from gateway.fast_path.prepare import Prepared
from gateway.fast_path.terms import How, Priced
from gateway.forward import WHOLE_BYTES
from gateway.framing import Head, StrictHttpProtocol, Turn, answer_lines
from gateway.headers import Headers, downward, value_of
from gateway.upstream import UpstreamError
from gateway.upstream.connection import Connection
from gateway.upstream.h1 import Lent
from gateway.upstream.pool import Pool
from gateway.upstream.response import ResponseReader, Seen
from ledger.asks import Answer
from ledger.errors import LedgerUnavailable
from ledger.holds import Asked

if TYPE_CHECKING:
    from gateway.fast_path.fast_path import FastPath

_log = logging.getLogger(__name__)

_GRANTED: Final = b"HELD"
_OK: Final = 200


class Passage:
    """
    Serves the requests of one connection that need nothing special.

        begin ── hold asked ── granted ── written to the backend ── its answer, whole ── settled
                     │            │               │
                     └────────────┴───────────────┴─ anything else: left to the main flow

    A request whose cost follows from its answer is left when that comes. Of a stream the head and
    the first piece of the body are passed on before: who waits for them does not wait for the main
    flow as well.

    It is what the shard tells the hold's answer, and the upstream connection its news, each in the
    turn of the event loop that brings it. When a request is left to the main flow, the connection
    gets another passage for its next.

    Attributes:
        began_us: When the request under way began, microseconds since 1970.
    """

    __slots__ = (
        "_answer",
        "_body",
        "_connection",
        "_epoch",
        "_error",
        "_fast",
        "_future",
        "_head",
        "_hold_id",
        "_known",
        "_lent",
        "_passed",
        "_pool",
        "_prepared",
        "_priced",
        "_request_id",
        "_settled",
        "_turn",
        "_upstream",
        "began_us",
    )

    def __init__(self, fast: "FastPath", connection: StrictHttpProtocol) -> None:
        self._fast = fast
        self._connection = connection
        self._head = cast("Head", None)
        self._prepared = cast("Prepared", None)
        self._priced = cast("Priced", None)
        self._body = b""
        self._hold_id = self._request_id = b""
        self._epoch = self._known = 0
        self._answer: Answer | None = None
        self._error: LedgerUnavailable | None = None
        self._future: asyncio.Future[Answer] | None = None
        self._pool = cast("Pool", None)
        self._upstream: Connection | None = None  # lent by the pool, until it is given back
        self._lent: Lent | None = None  # the same, on its way to the main flow
        self._turn: Turn | None = None  # once the client has the head of a stream
        self._passed = b""  # of its body
        self._settled = True
        self.began_us = 0

    # What the connection calls

    def begin(self, head: Head, body: bytes) -> bool:
        """Serve a request, or leave it untouched; see `gateway.framing.fast`."""
        fast = self._fast
        try:
            prepared: Prepared | None
            if head is self._head and fast.is_current(self._prepared):
                prepared = self._prepared
            else:
                prepared = fast.prepared(self._connection, head)
            priced = None if prepared is None else prepared.price(body)
            if prepared is None or priced is None:
                return False
            now_us = fast.clock.now_us()
            hold_id = fast.holds.ask(priced.quick, self, now_us)
        except Exception:  # noqa: BLE001 - whatever it is, the main flow gives an answer
            _log.exception("the fast path failed before it began")
            return False
        if hold_id is None:
            return False
        self._head = head
        self._body = body
        self._prepared = prepared
        self._priced = priced
        self._hold_id = hold_id
        self._epoch = priced.quick.epoch
        self._known = priced.quick.known
        self._answer = None
        self._settled = False
        self.began_us = now_us
        fast.under_way.add(self)
        fast.metrics.open_requests += 1
        if fast.metrics.open_requests == 1:
            fast.poll.expect(fast.answers)
        return True

    def leave(self) -> None:
        """Leave the request under way to the main flow, with what was begun of it."""
        fast = self._fast
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._answer is not None:
            answer.set_result(self._answer)
        elif self._error is not None:
            answer.set_exception(self._error)
        else:
            self._future = answer
        lent = self._lent = self._take_lent()
        quick = self._priced.quick
        deadline_ms = self.began_us // 1000 + quick.lifetime_ms
        asked = Asked(quick.order, self._hold_id, deadline_ms, self._epoch, self._known, answer)
        turn = self._turn or Turn(self._connection, self._head)
        turn.begun = Begun(
            self._prepared.prices,
            self.began_us,
            self._body,
            asked=asked,
            lent=lent,
            passed=None if self._turn is None else self._passed,
            upstreams=fast.upstreams,
        )
        self._connection.leave_to_application(turn)
        # From here on its ending is the main flow's affair: that it counts among the open requests
        # as well.
        self._settled, self._lent = True, None
        fast.under_way.discard(self)

    # What the shard calls

    def done(self) -> bool:
        """Whether the answer was told, or is of no use any more."""
        future = self._future
        if future is not None:
            return future.done()
        return self._answer is not None or self._error is not None

    def set_result(self, answer: Answer) -> None:
        """Go on with what was granted."""
        if self._future is not None:
            self._future.set_result(answer)
            return
        self._answer = answer
        try:
            if answer.words[0] != _GRANTED or not self._write():
                self.leave()
        except Exception:  # noqa: BLE001 - what is begun has to be undone, whatever it is
            self._drop()

    def set_exception(self, error: LedgerUnavailable) -> None:
        """Leave it to the main flow to say what failed."""
        if self._future is not None:
            self._future.set_exception(error)
            return
        self._error = error
        try:
            self.leave()
        except Exception:  # noqa: BLE001 - what is begun has to be undone, whatever it is
            self._drop()

    # What the upstream connection calls

    def answered(self, seen: Seen, body: bytes) -> bool:
        """Answer with this; see `Listener`."""
        if self._connection.write_paused or len(body) > WHOLE_BYTES or self._prepared.terms.metered:
            return False
        try:
            self._finish(seen, body)
        except Exception:  # noqa: BLE001 - what is begun has to be undone, whatever it is
            self._drop()
        return True

    def news(self) -> None:
        """Answer with what has come, if it is all and nothing unusual."""
        upstream = self._upstream
        if upstream is None:
            return
        try:
            response = upstream.response
            if self._prepared.terms.metered:
                self._pass_on(upstream)
                return
            seen = response.seen
            if (
                seen is None
                or not response.done
                or response.buffered > WHOLE_BYTES
                or upstream.error is not None
                or self._connection.write_paused
            ):
                self.leave()
                return
            self._finish(seen, response.take())
        except Exception:  # noqa: BLE001 - what is begun has to be undone, whatever it is
            self._drop()

    # The parts

    def _pass_on(self, upstream: Connection) -> None:
        """Pass on what has come of a metered stream, and leave it once that is some of its body."""
        response, turn = upstream.response, self._turn
        if upstream.error is not None or response.done or self._connection.write_paused:
            self.leave()
            return
        if turn is None:
            if not self._is_stream(response):
                self.leave()
                return
            turn = Turn(self._connection, self._head)
            turn.begin_at_once(_OK, self._stream_headers(response))
            self._turn = turn
            self._pool.responses.came = True
        self._passed = piece = upstream.take()
        turn.pass_on(piece)
        if piece:
            self.leave()

    def _is_stream(self, response: ResponseReader) -> bool:
        """Whether an answer that is not complete is one that the main flow would not wait for."""
        return (
            response.status == _OK  # which is 0 as long as the head is not whole
            and self._prepared.terms.route.charge_on.covers(_OK)
            and value_of(response.headers, b"content-length") is None
        )

    def _stream_headers(self, response: ResponseReader) -> Headers:
        assert self._answer is not None
        terms, (available, *standings) = self._prepared.terms, self._answer.words[1:]
        limits = terms.limits.headers(standings)
        ours = underway(self._request_id.decode(), terms.scale, int(available), limits)
        return downward(response.headers, status=_OK, head=False) + ours

    def _write(self) -> bool:
        """Write the request to its backend, if a connection is kept."""
        prepared = self._prepared
        try:
            pool = self._fast.upstreams.pool_of(prepared.terms.address)
        except UpstreamError:
            return False
        upstream = pool.kept(surely=prepared.surely)
        if upstream is None:
            return False
        self._pool, self._upstream = pool, upstream
        before, after = prepared.head
        self._request_id = request_id = hexlify(self._hold_id)
        request = b"%b%b%b%b" % (before, request_id, after, self._body)
        upstream.send(request, prepared.terms.timeout_s, self)
        if self._fast.metrics.open_requests == 1:
            self._fast.poll.expect(pool.responses)
        return True

    def _take_lent(self) -> Lent | None:
        """Hand on the upstream connection, if there is one."""
        upstream, self._upstream = self._upstream, None
        if upstream is None:
            return None
        upstream.listener = None
        return Lent(self._pool, upstream)

    def _finish(self, seen: Seen, body: bytes) -> None:
        """Answer, settle and note; the next request may begin in this very call."""
        fast, prepared, priced, answer = self._fast, self._prepared, self._priced, self._answer
        assert answer is not None
        status = seen.status
        how = priced.how(status)
        request_id = self._request_id
        whole = (
            b"%bfarebox-request-id: %b\r\nfarebox-cost: %b\r\nfarebox-balance: %b\r\n%b\r\n%b"
            % (
                _below(seen),
                request_id,
                how.cost,
                shown_amount(int(answer.words[1]) + how.given_back, prepared.terms.scale),
                prepared.terms.limits.lines(answer.words[2:]),
                body,
            )
        )
        self._connection.write(whole)
        # Not before: of what fails until there, nothing is taken.
        fast.holds.settle(
            priced.quick.order,
            self._hold_id,
            answer,
            captured=how.captured,
            reason=how.reason,
            status=status,
        )
        self._settled = True
        # All this while the answer is on its way: of what fails here, the client hears nothing.
        if self._upstream is not None:
            self._pool.give_back(self._upstream)
            self._upstream = None
        self._note(how, status, len(body))
        # Given back while it is near: by the connection's next request it would be far away.
        self._answer = None
        self._hold_id = self._request_id = b""
        fast.under_way.discard(self)
        fast.metrics.open_requests -= 1
        if not fast.metrics.open_requests:
            fast.poll.expect(fast.requests)
        self._connection.passed()

    def _note(self, how: How, status: int, sent_bytes: int) -> None:
        """Count the request and log it."""
        fast, prepared = self._fast, self._prepared
        route, caller = prepared.terms.route, prepared.terms.caller
        duration_us = max(0, fast.clock.now_us() - self.began_us)
        if how.captures:
            fast.metrics.settled(route.price.credit_type, how.captured, 0)
        fast.metrics.count(how.series, duration_us)
        fast.access_log.add(
            Line(
                self.began_us,
                self._request_id.decode(),
                prepared.method,
                route.name,
                status,
                caller.account,
                caller.key,
                how.captured,
                how.word,
                duration_us,
                sent_bytes,
                self._connection.peer,
            )
        )

    def _drop(self) -> None:
        """End a request that met an error nobody expected: nothing is taken for it."""
        _log.exception("the fast path failed")
        fast = self._fast
        if self in fast.under_way:
            fast.under_way.discard(self)
            fast.metrics.open_requests -= 1
        if not self._settled:
            self._settled = True
            fast.holds.give_back(self._priced.quick.order, self._hold_id, self._epoch)
        lent, self._lent = self._lent or self._take_lent(), None
        if lent is not None:
            lent.give_back()
        self._connection.drop()


def _below(seen: Seen) -> bytes:
    """Return what the client gets of an upstream's head; one that is repeated is written once."""
    below = seen.below
    if not isinstance(below, bytes):
        headers = downward(seen.headers, status=seen.status, head=False)
        below = seen.below = answer_lines(seen.status, headers)
    return below
