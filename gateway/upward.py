"""The request as the backend gets it: the matched path, our headers, the same body."""

from gateway.headers import Headers, forwarded, upward
from gateway.upstream import UpstreamRequest
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
    trusted = visit.prices.list.trusts(request.peer)
    replaced = backend.replaced
    headers: Headers = backend.first.copy()
    if metered and route.price.wants_identity:
        replaced |= _ENCODING
        headers.append((b"accept-encoding", b"identity"))
    ours = offered_extensions(request.headers) if websocket else request.headers
    headers += upward(ours, trusted=trusted, replaced=replaced)
    headers += forwarded(
        request.headers,
        peer=request.peer,
        scheme=request.scheme,
        host=request.host,
        trusted=trusted,
    )
    headers += backend.headers
    headers.append((b"farebox-request-id", visit.request_id.encode()))
    if visit.caller is not None:
        headers.append((b"farebox-account", account_text(visit.caller.account).encode()))
        headers.append((b"farebox-key", key_text(visit.caller.key).encode()))
    target = backend.address.prefix + path
    return UpstreamRequest(
        method=request.method.encode(),
        target=target + b"?" + request.query if request.query else target,
        headers=headers,
        body=request.body(None if route.observe else route.max_body),
        body_bytes=request.body_bytes,
        websocket=websocket,
    )
