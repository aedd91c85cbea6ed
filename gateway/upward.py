"""The request as the backend gets it: the matched path, our headers, the same body."""

from gateway.headers import Headers, forwarded, upward
from gateway.identify import Caller
from gateway.prices import Backend
from gateway.request import Request
from gateway.upstream import SharedLines, UpstreamRequest, shared_lines
from gateway.visit import Visit
from gateway.websocket import offered_extensions
from ledger.ids import account_text, key_text

_ENCODING = frozenset({b"accept-encoding"})


def upstream_request(
    visit: Visit, path: bytes, *, metered: bool, websocket: bool = False
) -> UpstreamRequest:
    """
    Write the request for the backend of a visit's route.

    The target is made of the path that was matched and priced, and of the query as it came: what
    the client wrote is not read again. A `metered` answer must be readable, so it is asked for
    uncompressed where its body tells the usage.
    """
    request, route = visit.request, visit.route
    backend = visit.prices.backends[route.index]
    target = backend.address.prefix + path
    return UpstreamRequest(
        method=request.method,
        target=target + b"?" + request.query if request.query else target,
        headers=own_lines(visit.request_id),
        body=request.body(None if route.observe else route.max_body),
        body_bytes=request.body_bytes,
        websocket=websocket,
        shared=_shared(
            request,
            backend,
            visit.caller,
            trusted=visit.prices.list.trusts(request.peer),
            plain=metered and route.price.wants_identity,
            websocket=websocket,
        ),
    )


def own_lines(request_id: str) -> Headers:
    """Return the header lines that no other request has: a hold's id is known once it stands."""
    return [(b"farebox-request-id", request_id.encode())]


def _shared(
    request: Request,
    backend: Backend,
    caller: Caller | None,
    *,
    trusted: bool,
    plain: bool,
    websocket: bool,
) -> SharedLines:
    """Return all other header lines; a client that repeats its headers repeats these as well."""
    facts = request.facts
    wanted = backend, caller, trusted, plain, websocket
    if facts.upward is not None and facts.upward[0] == wanted:
        return facts.upward[1]
    replaced = backend.replaced
    headers: Headers = backend.first.copy()
    if plain:
        replaced |= _ENCODING
        headers.append((b"accept-encoding", b"identity"))
    ours = offered_extensions(facts.headers) if websocket else facts.headers
    headers += upward(ours, trusted=trusted, replaced=replaced)
    headers += forwarded(
        facts.headers,
        peer=request.peer,
        scheme=request.scheme,
        host=facts.host,
        trusted=trusted,
    )
    headers += backend.headers
    if caller is not None:
        headers.append((b"farebox-account", account_text(caller.account).encode()))
        headers.append((b"farebox-key", key_text(caller.key).encode()))
    shared = shared_lines(headers)
    facts.upward = wanted, shared
    return shared
