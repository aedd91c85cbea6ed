"""
The main flow: one charged request, top to bottom.

request → route → key → price → **hold** → forward, metered → **settle** (capture or void)

The hold is a block around the forwarding, so no path can leave it unsettled; what a request is
charged is decided by `outcome`, what a refusal looks like by `problems`. Everything here is
per request and takes what it needs by constructor.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from config import (
    BadPath,
    Match,
    Route,
    Unpriceable,
    canonical_path,
    format_amount,
)
from gateway import answer
from gateway.access_log import AccessLog
from gateway.admission import check_head, find_route, watched_head, websocket_not_available
from gateway.answer import Tell
from gateway.asgi import AsgiTurn
from gateway.fast_path import Begun
from gateway.forward import Exchange, Switch
from gateway.framing import Turn
from gateway.headers import client_address
from gateway.idempotency import Answered, Idempotency, Once, send_reply
from gateway.identify import Caller, Identification
from gateway.metering import Metering, detail_unpriced
from gateway.metrics import Metrics
from gateway.order import facts_of, hold_order
from gateway.outcome import NOTHING, End, Ending, Outcome, outcome
from gateway.plans import Plans
from gateway.presence import Presence
from gateway.prices import LivePrices
from gateway.problems import (
    Problem,
    insufficient,
    invalid_key,
    key_capped,
    problem_for,
    retry_after,
    too_high,
)
from gateway.request import BodyTooLarge, ClientGone, Request
from gateway.throttle import Throttle
from gateway.uploads import Uploads
from gateway.upstream import UpstreamClient, UpstreamError, UpstreamRequest, UpstreamTimeout
from gateway.upward import own_lines, upstream_request
from gateway.visit import Visit
from gateway.watched import NO_PRICE, Met
from gateway.websocket import Chain, Counted, Free, Link, Tunnel, WebSocketLimits
from ledger.errors import (
    AboveWindow,
    InsufficientCredits,
    KeyCapped,
    LedgerError,
    LedgerUnavailable,
    NotFound,
    RateLimited,
)
from ledger.hold_order import HoldOrder
from ledger.holds import Held, HoldBlock, Holds
from ledger.ids import HoldIds, hold_text, minted_us
from ledger.ports import Clock
from ledger.posted_holds import PostedHolds
from ledger.reasons import Reason

PREFLIGHTS_PER_MINUTE = 600  # by address: they are free, and still work for the backend


class Proxy:
    """Serves every request that is not for our own routes."""

    def __init__(
        self,
        *,
        holds: Holds,
        posted_holds: PostedHolds,
        identification: Identification,
        idempotency: Idempotency,
        prices: LivePrices,
        upstreams: UpstreamClient,
        presence: Presence,
        plans: Plans,
        access_log: AccessLog,
        metrics: Metrics,
        buy_link: Callable[[int, Request], str],
        clock: Clock,
        nonce: int,
        websockets: WebSocketLimits | None = None,
    ) -> None:
        """
        Build it from its parts.

        `buy_link` returns the address where an account can buy credits. `nonce` is 32 random
        bits: in the ids of requests without a hold they replace the session.
        """
        self._holds = holds
        self._posted_holds = posted_holds
        self._identification = identification
        self._idempotency = idempotency
        self._prices = prices
        self._upstreams = upstreams
        self._presence = presence
        self._plans = plans
        self._access_log = access_log
        self._metrics = metrics
        self._buy_link = buy_link
        self._clock = clock
        self._nonce = nonce
        self._websockets = websockets or WebSocketLimits()
        self._ids = HoldIds(clock)
        self._uploads = Uploads()
        self._preflights = Throttle(PREFLIGHTS_PER_MINUTE, clock=clock)

    async def serve(self, turn: Turn | AsgiTurn) -> None:
        """Serve one request, whatever it is: with an answer of the backend or a problem."""
        request = Request(turn)
        begun = turn.begun
        if isinstance(begun, Begun):
            visit = Visit(request, begun.prices, begun.began_us)
            visit.begun = begun  # counted among the open requests when it began
            request.has_body(begun.body)
        else:
            visit = Visit(request, self._prices.now, self._clock.now_us())
            self._metrics.open_requests += 1
        try:
            await self._serve(visit)
        except ClientGone:
            visit.reason = Reason.CLIENT_GONE_EARLY.word
            if request.refused is not None:
                visit.reason = request.refused.refusal.name
                visit.status = request.refused.refusal.status
        except BodyTooLarge as error:
            await self._refuse(visit, _too_large(error))
        except NotFound:
            await self._refuse(visit, invalid_key())  # the key's account is no more
        except Answered as before:
            await self._answer_again(visit, before)
        except RateLimited as limited:
            await self._refuse(visit, visit.limits.problem(limited))
        except (Problem, LedgerError, UpstreamError, Unpriceable, BadPath) as error:
            await self._refuse(visit, problem_for(error) or _our_fault())
        except Exception:
            await self._refuse(visit, _our_fault())
            raise
        finally:
            self._uploads.leave(request)
            if visit.begun is not None:
                visit.begun.close(self._holds)
            self._metrics.open_requests -= 1
            self._note(visit)

    def _serve(self, visit: Visit) -> Awaitable[None]:
        """Find the route, then serve by what it says of keys and charging."""
        request, prices = visit.request, visit.prices.list
        if request.refused is not None:
            raise ClientGone  # its body came with its head, and broke a rule
        path = canonical_path(request.raw_path)
        match, preflight = find_route(prices, request, path)
        visit.found(match)
        route = match.route
        if preflight:
            self._throttle_preflight(request, visit)
            return self._forward_free(visit, path)
        check_head(request, route)
        if route.websocket and not self._upstreams.websockets:
            raise websocket_not_available()
        if route.observe:
            return self._observe(visit, path)
        if route.public:
            return self._forward_free(visit, path)
        if visit.prices.plans is not None:
            return self._charge_on_plan(visit, path)
        return self._charge(visit, path, match)

    async def _charge_on_plan(self, visit: Visit, path: bytes) -> None:
        """Charge by what the account is on at the moment of the hold."""
        request = visit.request
        secret = self._identification.secret(request)
        visit.caller = caller = self._identification.remembered(
            secret
        ) or await self._identification.find(secret, request, visit.prices.list)
        await self._plans.charge(visit, caller, partial(self._charge, visit, path))

    async def _charge(self, visit: Visit, path: bytes, match: Match) -> None:
        """Key, price, hold, forward, settle."""
        request, route = visit.request, match.route
        caller = visit.caller
        if caller is None:
            secret = self._identification.secret(request)
            visit.caller = caller = self._identification.remembered(
                secret
            ) or await self._identification.find(secret, request, visit.prices.list)
        body = await _priced_body(request, route) if route.price.needs_body else None
        facts = facts_of(request, match, body)
        since_us = None if visit.begun is None else visit.began_us
        measured = route.price.before(facts)
        metering = Metering(route.price, measured, request, self._clock, since_us=since_us)
        order = hold_order(visit, caller, metering, facts)
        nothing_due = metering.measured.final and metering.measured.ceiling == 0
        if nothing_due and not visit.limits.counts_free:
            passed = await self._holds.pass_free(order)
            visit.standings = passed.standings
            await self._forward_free(visit, path, passed.available)
            return
        if request.facts.idempotency_key is not None:
            visit.once = await self._idempotency.once(visit, path, order)
        self._uploads.enter(visit.prices.backends[route.index].address, request)
        # Made while the ledger works where the hold was asked for already: all but its id.
        upward = self._upward(visit, path, metering)
        asked = None if visit.begun is None else visit.begun.take_asked()
        block: HoldBlock | Once = visit.once or self._holds.hold(order, asked)
        try:
            async with block as held:
                visit.request_id = held.text
                request.named(visit.request_id)
                visit.standings = held.standings
                if route.strict:
                    await self._wait_for_postgres(visit, held)
                told, available = visit.told_limits, held.available
                if held.free:
                    tell = answer.free(visit.request_id, route.price.scale, available, told)
                else:
                    tell = answer.billed(visit.request_id, route, metering, available, told)
                if route.websocket:
                    await self._charge_slices(visit, upward, tell, Link(metering, held), order)
                else:
                    ending = await self._forward(visit, upward, tell, metering)
                    self._settle(visit, held, ending, metering)
        except InsufficientCredits as short:
            visit.standings = short.standings
            raise self._insufficient(visit, caller, short) from short
        except AboveWindow as above:
            raise _above(visit, above) from above
        except KeyCapped as capped:
            raise key_capped(capped, visit.prices.credit_type(capped.credit_type_id)) from capped
        _say_what_failed(visit)

    async def _wait_for_postgres(self, visit: Visit, held: Held) -> None:
        """Return when Postgres has the hold: until then the upstream hears of nothing."""
        with self._presence.watch(visit.request, linger_s=None) as watch:
            try:
                await self._posted_holds.wait(held.id, held.epoch)
            except LedgerUnavailable:
                held.void(Reason.NOT_POSTED)
                raise
            except asyncio.CancelledError:
                if not watch.absorb():
                    raise
                held.void(Reason.CLIENT_GONE_EARLY)
                raise ClientGone from None

    async def _charge_slices(
        self, visit: Visit, upward: UpstreamRequest, tell: Tell, first: Link, order: HoldOrder
    ) -> None:
        """Forward a WebSocket: each slice of the connection is a charge, the next held ahead."""

        def capture(link: Link) -> None:
            covered = visit.route.charge_on.covers(101)
            self._settle(visit, link.held, Ending(End.COMPLETE, 101, covered), link.metering)

        async def next_link() -> Link:
            metering = first.metering.next_slice(visit.request_id)
            ceiling = metering.measured.ceiling
            detail = metering.detail_before(visit.record, visit.plan_name)
            # It is no request of its own, so it does not count as one, and it keeps its plan.
            again = order._replace(
                ceiling=ceiling, rate=(0, 0), limits=visit.limits.slices, plan=None, detail=detail
            )
            if ceiling == 0:
                await self._holds.check(again)
                return Link(metering, None)
            return Link(metering, await self._holds.open(again))

        limits = self._websockets
        async with Chain(
            first, next_link=next_link, capture=capture, clock=self._clock, limits=limits
        ) as chain:
            most = visit.route.max_body
            tunnel = Tunnel(visit.request, chain, limits, max_message_bytes=most, keep=chain.keep)
            ending = await self._forward(visit, upward, tell, first.metering, tunnel)
            last = chain.close()
            self._settle(visit, last.held, ending, last.metering)

    async def _observe(self, visit: Visit, path: bytes) -> None:
        """Price and record, charge and refuse nothing: key and price may both be absent."""
        route = visit.route
        caller, problem = await self._identification.caller_if_known(
            visit.request, visit.prices.list
        )
        visit.caller = caller
        if visit.prices.plans is not None and caller is not None:
            problem = await self._plans.watched(visit, caller)
            route = visit.route
        metering = await self._price_if_possible(visit)
        head = watched_head(visit.request, route)
        met = Met(head or ("" if route.public else problem), visit.reason)
        self._uploads.enter(visit.prices.backends[visit.route.index].address, visit.request)
        upward, tell = self._upward(visit, path, metering), self._free(visit)
        ending = await self._forward(
            visit, upward, tell, metering, self._free_tunnel(visit, metering)
        )
        charge_id = bytes.fromhex(self._id_of(visit))
        lasted_ms = max(0, self._clock.now_us() - minted_us(charge_id)) // 1000
        if metering is None:
            met = met.ended(outcome(ending, NOTHING))
            amount, detail = 0, detail_unpriced(visit.record, met.note, lasted_ms)
        else:
            result = self._decide(visit, ending, metering)
            met = met.ended(result)
            visit.captured, visit.reason = 0, Reason.OBSERVED.word
            # A watched WebSocket is no chain of charges: all of it stands in this one.
            over = result.uncollected if route.websocket else 0
            amount = result.amount + over
            detail = metering.detail_observed(
                visit.record,
                result.uncollected - over,
                met.note,
                lasted_ms,
                visit.plan_name,
            )
        self._holds.observe(
            charge_id,
            account=caller.account if caller else 0,
            key=caller.key if caller else 0,
            credit_type=visit.prices.type_numbers[route.price.credit_type],
            amount=amount,
            version=visit.prices.version,
            rule=route.index,
            status=ending.status,
            detail=detail,
        )
        _say_what_failed(visit)

    async def _forward_free(self, visit: Visit, path: bytes, available: int | None = None) -> None:
        """Pass on what costs nothing: no hold, no charge, nothing to settle."""
        self._uploads.enter(visit.prices.backends[visit.route.index].address, visit.request)
        upward, tell = self._upward(visit, path, None), self._free(visit, available)
        ending = await self._forward(visit, upward, tell, None, self._free_tunnel(visit, None))
        visit.reason = outcome(ending, NOTHING).reason.word
        _say_what_failed(visit)

    def _free(self, visit: Visit, available: int | None = None) -> Tell:
        limits = answer.NO_HEADERS if available is None else visit.told_limits
        return answer.free(self._id_of(visit), visit.route.price.scale, available, limits)

    def _free_tunnel(self, visit: Visit, metering: Metering | None) -> Tunnel | None:
        """Return what a WebSocket that nobody pays for goes through; it is counted at most."""
        if not visit.route.websocket or visit.match is None:
            return None
        meter = metering.meter if metering is not None else None
        toll = Free() if meter is None else Counted(meter)
        most = visit.route.max_body
        return Tunnel(visit.request, toll, self._websockets, max_message_bytes=most)

    async def _price_if_possible(self, visit: Visit) -> Metering | None:
        """Price what is only watched; what cannot be priced passes, and the log says why."""
        route = visit.route
        try:
            assert visit.match is not None
            body = await _priced_body(visit.request, route)
            facts = facts_of(visit.request, visit.match, body)
            visit.record = route.recorded(facts)
            before = route.price.before(facts)
            metering = Metering(route.price, before, visit.request, self._clock)
        except Unpriceable as error:
            visit.reason = error.code
        except BodyTooLarge:
            visit.reason = "body-too-large"
        else:
            visit.reason = NO_PRICE if route.price.unpriced else ""
            return metering
        return None

    def _upward(self, visit: Visit, path: bytes, metering: Metering | None) -> UpstreamRequest:
        """Write the request for its backend; its id is said when it is forwarded."""
        metered = metering is not None and metering.meter is not None
        return upstream_request(visit, path, metered=metered, websocket=visit.route.websocket)

    async def _forward(
        self,
        visit: Visit,
        upward: UpstreamRequest,
        tell: Tell,
        metering: Metering | None,
        tunnel: Switch | None = None,
    ) -> Ending:
        """Pass the request on and the answer back; say how it ended."""
        route, request = visit.route, visit.request
        upward.headers = own_lines(self._id_of(visit))
        meter = metering.meter if metering else None
        websocket, once = tunnel is not None, visit.once
        lingers = (meter is not None or (once is not None and route.replays)) and not websocket
        passed = None if visit.begun is None else visit.begun.passed
        exchange = visit.exchange = Exchange(
            request, meter=meter, tell=tell, switch=tunnel, passed=passed
        )
        upstreams = self._upstreams if once is None else once.upstreams(self._upstreams)
        if visit.begun is not None:
            upstreams = visit.begun.upstreams(upstreams)
        end = await exchange.run(
            upstreams,
            upward,
            visit.prices.backends[route.index].address,
            self._presence,
            linger_s=route.linger_ms / 1000 if lingers else None,
        )
        visit.status, visit.sent_bytes = exchange.status, exchange.sent_bytes
        if request.refused is not None:
            visit.status = request.refused.refusal.status
        if exchange.failed is not None and exchange.started:
            request.cut()
        return Ending(end, exchange.status, covered=route.charge_on.covers(exchange.status))

    def _decide(self, visit: Visit, ending: Ending, metering: Metering) -> Outcome:
        """Decide what is charged and note it for the log."""
        result = outcome(
            ending, metering.charge(), cut_is_delivered=visit.route.on_cut == "delivered"
        )
        visit.captured += result.amount  # of a WebSocket there are several
        visit.reason = result.reason.word
        return result

    def _settle(self, visit: Visit, held: Held | None, ending: Ending, metering: Metering) -> None:
        """Queue the settlement; it outlives the request and awaits nothing here."""
        result = self._decide(visit, ending, metering)
        if held is None:
            return  # nothing was due, so nothing was held
        if held.free and result.capture:
            visit.captured -= result.amount  # an allowance paid
            held.capture(0, result.reason, ending.status, metering.detail_after(0))
        elif result.capture:
            credit_type = visit.route.price.credit_type
            self._metrics.settled(credit_type, result.amount, result.uncollected)
            detail = metering.detail_after(result.uncollected)
            held.capture(result.amount, result.reason, ending.status, detail)
        else:
            held.void(result.reason, ending.status, _note_of(visit.exchange))

    def _insufficient(self, visit: Visit, caller: Caller, short: InsufficientCredits) -> Problem:
        price = visit.route.price
        return insufficient(
            price=short.needed,
            balance=short.available,
            credit_type=price.credit_type,
            scale=price.scale,
            shown=lambda amount: format_amount(amount, price.scale),
            buy=self._buy_link(caller.account, visit.request),
        )

    def _throttle_preflight(self, request: Request, visit: Visit) -> None:
        trusts = visit.prices.list.trusts
        address = client_address(request.headers, peer=request.peer, trusts=trusts)
        wait_s = self._preflights.retry_after_s(address)
        if wait_s:
            raise Problem(
                "rate-limited",
                "Too many preflights came from this address.",
                headers=(retry_after(wait_s),),
            )
        self._preflights.count(address)

    async def _refuse(self, visit: Visit, problem: Problem) -> None:
        """Answer with a problem; where an answer has begun already, nothing more can be said."""
        visit.reason = visit.reason or problem.name
        if visit.exchange is not None and visit.exchange.started:
            return
        if visit.begun is not None and visit.begun.passed is not None:
            visit.request.cut()
            return
        visit.status = problem.status
        visit.sent_bytes = await answer.send_problem(
            problem,
            visit.request,
            request_id=self._id_of(visit),
            prefix=visit.prices.list.prefix,
            policy=visit.route.cors if visit.match else visit.prices.list.cors,
            limits=visit.told_limits,
        )

    async def _answer_again(self, visit: Visit, before: Answered) -> None:
        """Give the answer that a request had before; one that began meanwhile was cut."""
        visit.reason = "replayed"
        if visit.exchange is not None and visit.exchange.started:
            return
        reply, route = before.reply, visit.route
        visit.status = reply.status
        tell = answer.free(
            self._id_of(visit), route.price.scale, before.passed.available, visit.told_limits
        )
        ours = [*tell(reply.status, True), (b"farebox-charge", hold_text(reply.charge_id).encode())]
        visit.sent_bytes = await send_reply(reply, visit.request, ours)

    def _id_of(self, visit: Visit) -> str:
        """Return the hold's id, or one of the same form for a request that has no hold."""
        if not visit.request_id:
            refused = visit.request.refused
            told = refused.request_id if refused is not None else ""
            visit.request_id = told or hold_text(self._ids.mint(self._nonce))
            visit.request.named(visit.request_id)
        return visit.request_id

    def _note(self, visit: Visit) -> None:
        """Count the request and log it."""
        duration_us = max(0, self._clock.now_us() - visit.began_us)
        self._id_of(visit)
        self._metrics.request(visit.route_name, visit.status, visit.reason, duration_us)
        self._access_log.add(visit.line(duration_us))


async def _priced_body(request: Request, route: Route) -> bytes | None:
    """Gather the body, where the price depends on it."""
    if not route.price.needs_body:
        return None
    return await request.gather(route.max_body or route.price.body_limit)


def _say_what_failed(visit: Visit) -> None:
    """Raise what the client is told instead of an answer; one that has begun is just cut."""
    exchange = visit.exchange
    if exchange is not None and exchange.failed is not None and not exchange.started:
        raise exchange.failed


def _note_of(exchange: Exchange | None) -> bytes:
    """Return what a void keeps beside its reason: which limit an upstream was too slow for."""
    if exchange is not None and isinstance(exchange.failed, UpstreamTimeout):
        return b'{"x":"%s"}' % exchange.failed.phase.encode()
    return b""


def _above(visit: Visit, above: AboveWindow) -> Problem:
    price = visit.route.price
    return too_high(
        price=above.needed,
        limit=above.window,
        credit_type=price.credit_type,
        shown=lambda amount: format_amount(amount, price.scale),
    )


def _too_large(error: BodyTooLarge) -> Problem:
    return Problem("body-too-large", f"The body may have {error.limit_bytes} bytes here.")


def _our_fault() -> Problem:
    return Problem("internal-error", "The gateway failed; nothing was charged.")
