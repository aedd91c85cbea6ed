"""
A request that must not be charged twice: who has its key is asked, then it is held with the key.

    read Postgres ── an answer is kept ─────────────── given again, charged 0
         │           another request is known ──────── 422
         │           charged already ───────────────── 409 already-done
         └─ HOLD ─── granted: the key is this hold's ─ forwarded
                     another hold is open ──────────── 409 still-running
                     ... captured, or of another request: as above
                     Postgres knows more by now ────── read it again

Postgres is read first, because Redis knows only what the running epoch did; a hold is granted only
in the epoch that was read. Who gets no hold is checked as a free request is: its key and its
account must be good, and it counts in its rates.
"""

from types import TracebackType
from typing import NoReturn

from gateway.headers import Headers
from gateway.idempotency.keeping import KeepingClient
from gateway.idempotency.key import LARGEST_BODY, fingerprint, key_hash, read_key
from gateway.idempotency.replay import replayable
from gateway.problems import Problem, retry_after
from gateway.request import BodyTooLarge, Request
from gateway.upstream import UpstreamClient
from gateway.visit import Visit
from ledger.claims import Claim, Claims, Standing, There
from ledger.errors import Claimed, LedgerUnavailable
from ledger.hold_order import HoldOrder
from ledger.holds import Held, Holds, Passed
from ledger.ids import hold_text
from ledger.reasons import Reason
from ledger.replies import Replies, Reply

MOST_LOOKS = 5
"""Each is only due because something ended, or an epoch began, since the one before."""

RUNNING_RETRY_S = 1  # nobody knows when a request of another will end


class Answered(Exception):
    """The request was answered before; `passed` is how its account stands now."""

    def __init__(self, reply: Reply, passed: Passed) -> None:
        super().__init__(hold_text(reply.charge_id))
        self.reply = reply
        self.passed = passed


class Idempotency:
    """Makes the blocks of requests with a key, of these parts of the ledger."""

    def __init__(self, holds: Holds, claims: Claims, replies: Replies) -> None:
        self.holds = holds
        self.claims = claims
        self.replies = replies

    async def once(self, visit: Visit, path: bytes, order: HoldOrder) -> "Once":
        """
        Read what the request asks for, and return the block for its hold.

        Raises:
            Problem: 400 for the key, or for a WebSocket; 413 for a body that is too large for it.
        """
        request, route = visit.request, visit.route
        key = read_key(request.facts.idempotency_key or b"")
        if route.websocket:
            raise Problem(
                "idempotency-key-invalid",
                "A WebSocket cannot be repeated: connect without Idempotency-Key.",
            )
        body = await _whole_body(request, route.max_body)
        asked = fingerprint(
            method=request.method, route=route.name, path=path, query=request.query, body=body
        )
        claim = Claim(order.account, key_hash(key), asked)
        return Once(self, visit, order, claim)


class Once:
    """The `async with` around a charged request with a key; entered, it is held."""

    def __init__(self, ledger: Idempotency, visit: Visit, order: HoldOrder, claim: Claim) -> None:
        self._holds = ledger.holds
        self._claims = ledger.claims
        self._replies = ledger.replies
        self._visit = visit
        self._order = order
        self._claim = claim
        self._held: Held

    async def __aenter__(self) -> Held:
        """
        Hold it with its key.

        Raises:
            Answered: An answer is kept.
            Problem: 409 or 422, another hold has the key.
            LedgerError: As an ordinary hold.
        """
        for _ in range(MOST_LOOKS):
            there = await self._claims.read(self._claim)
            if there.reply is not None:
                await self._answer(there.reply)
            if there.standing is Standing.CAPTURED:
                await self._refuse(there.owner, same=self._same(there.fingerprint))
            try:
                order = self._order._replace(claim=(self._claim, there))
                self._held = await self._holds.open(order)
            except Claimed as other:
                await self._follow(other, there)
            else:
                return self._held
        raise LedgerUnavailable("the key's owner changed again and again")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give back what nobody decided; a beginning of an answer must not look whole."""
        if isinstance(error, Answered):
            self._held.void(Reason.OVERTAKEN)
        exchange = self._visit.exchange
        if error is not None and exchange is not None and exchange.started:
            self._visit.request.cut()
        self._held.leave()

    def upstreams(self, client: UpstreamClient) -> UpstreamClient:
        """Return what to send the request with: where the route says so, its answer is kept."""
        route = self._visit.route
        if not route.replays:
            return client
        return KeepingClient(client, counts=route.charge_on.covers, keep=self._keep)

    def _same(self, known: bytes) -> bool:
        return known == self._claim.fingerprint

    async def _follow(self, other: Claimed, there: There) -> None:
        """Say why another hold has the key; return where Postgres has to be read again."""
        if other.word == "ask":
            return
        same = other.word != "mismatch"
        if other.owner == there.owner:  # of an older epoch: Redis does not know what it was for
            same = self._same(there.fingerprint)
        if other.word == "done" and same and self._visit.route.replays:
            there = await self._claims.read(self._claim)
            if there.reply is not None:
                await self._answer(there.reply)
        if other.word == "running" and same:
            await self._check()
            raise Problem(
                "still-running",
                "A request with this Idempotency-Key is under way; ask again later.",
                headers=(retry_after(RUNNING_RETRY_S),),
                charge=hold_text(other.owner),
            )
        await self._refuse(other.owner, same=same)

    async def _answer(self, reply: Reply) -> NoReturn:
        """Give a kept answer, or say that there was one."""
        same = self._same(reply.fingerprint)
        if not same or reply.body is None:
            await self._refuse(reply.charge_id, same=same)
        raise Answered(reply, await self._check())

    async def _refuse(self, charge: bytes, *, same: bool) -> NoReturn:
        await self._check()
        if not same:
            raise Problem(
                "idempotency-mismatch",
                "Another request was sent with this Idempotency-Key; take a new key for this one.",
                charge=hold_text(charge),
            )
        raise Problem(
            "already-done",
            "The request was served before, and is not charged again; see its charge.",
            charge=hold_text(charge),
        )

    async def _check(self) -> Passed:
        """See that the key and the account are good, and count the request in its rates."""
        passed = await self._holds.pass_free(self._order)
        self._visit.standings = passed.standings
        return passed

    async def _keep(self, status: int, headers: Headers, body: bytes | None) -> None:
        """Keep the answer before it is given; where another was, that one stands."""
        method = self._visit.request.method
        kept = replayable(headers, status=status, method=method)
        reply = Reply(self._held.id, self._claim.fingerprint, status, kept, body)
        account, hashed = self._claim.account, self._claim.key_hash
        if await self._replies.keep(account, hashed, reply):
            return
        first: There = await self._claims.read(self._claim)
        if first.reply is None:
            raise LedgerUnavailable("the answer that was kept is gone again")
        await self._answer(first.reply)


async def _whole_body(request: Request, most: int | None) -> bytes:
    limit = LARGEST_BODY if most is None else min(most, LARGEST_BODY)
    try:
        body = await request.gather(limit)
    except BodyTooLarge as error:
        raise _too_large(error.limit_bytes) from None
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit_bytes: int) -> Problem:
    return Problem(
        "body-too-large", f"With Idempotency-Key the body may have {limit_bytes} bytes here."
    )
