"""What a client may send, and why that much."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FramingLimits:
    """
    Limits of one connection from a client.

    Attributes:
        connections: Of one worker, all callers together. Some 10 KB each, and a file descriptor,
            of which the upstreams need some too.
        connections_per_address: Of these, from one IPv4 address or IPv6 /64. More than browsers
            behind one router open, and so few that it takes ten addresses to fill a worker.
            Addresses of `trusted_proxies` are not limited: many callers stand behind them.
        request_line_bytes: Method, target and version: 8 KiB, as nginx and Apache allow; the
            longest URL browsers and proxies agree on is shorter.
        head_bytes: Request line and headers together. Large cookies and tokens are a few KiB.
        header_lines: Browsers send about 20; 100 is what Apache allows.
        blank_lines: Empty lines before a request, which RFC 9112 2.2 asks us to skip.
        chunk_line_bytes: A chunk's size and its extensions, which nobody uses.
        trailer_bytes: Trailers, which are dropped.
        kept_back_bytes: Of requests sent before the previous answer; reading stops there.
        drain_bytes: Of a body whose request is answered already (413, say). So much is read and
            forgotten, to keep the connection; then it is closed.
        head_ms: From a connection's first byte, or a request's, to the end of its head.
        body_ms: Between two reads of a body, while we are ready to read.
        stall_ms: How long a client may take no byte of an answer that is waiting for it. Longer
            than `body_ms`, since a player or pager may pause for a while; without any limit a
            client that never reads would keep its hold, its upstream and its memory.
        linger_ms: How long a refused client is listened to, without effect, so that it can read
            why: closing at once would reset the connection and may take the answer with it.
        sweep_ms: How often time limits are looked at; they are kept to this precision.
        methods: Of RFC 9110 9 and RFC 5789, without CONNECT and TRACE; others are unknown (501).
    """

    connections: int = 10_000
    connections_per_address: int = 1_000
    request_line_bytes: int = 8 * 1024
    head_bytes: int = 32 * 1024
    header_lines: int = 100
    blank_lines: int = 2
    chunk_line_bytes: int = 256
    trailer_bytes: int = 8 * 1024
    kept_back_bytes: int = 64 * 1024
    drain_bytes: int = 256 * 1024
    head_ms: int = 10_000
    body_ms: int = 30_000
    stall_ms: int = 60_000
    linger_ms: int = 2_000
    sweep_ms: int = 500
    methods: tuple[bytes, ...] = (
        b"GET",
        b"HEAD",
        b"POST",
        b"PUT",
        b"PATCH",
        b"DELETE",
        b"OPTIONS",
    )
