"""What an upstream client allows, and why that much."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """
    Limits of one client. Connections and time-outs are the price file's, per upstream.

    Attributes:
        waiting: Requests waiting for a connection; more are refused at once, since a queue
            longer than the connections only turns an overload into time-outs.
        wait_ms: Longest wait for a connection.
        keep_ms: Longest time an idle connection is kept. Below the 5 s after which uvicorn and
            Node close theirs, so that ours rarely meets a connection that is about to die.
        early_ms: How long before the time that an upstream tells (`Keep-Alive: timeout=2`) a kept
            connection is given up: what is sent then would meet its end on the way.
        head_bytes: Response head, and also chunk extensions and trailers between two pieces of
            body. nginx allows 8 KiB by default; some backends set many cookies.
        header_lines: Lines in a response head. Twice what we let a client send.
        informational: 1xx responses before the final one. There is no use for more than two.
        buffer_bytes: Response bytes held for a slow client before reading stops. One read of
            the event loop (256 KiB) may come on top.
        sweep_ms: How often time limits are looked at; they are kept to this precision.
    """

    waiting: int = 1_024
    wait_ms: int = 5_000
    keep_ms: int = 4_000
    early_ms: int = 1_000
    head_bytes: int = 64 * 1024
    header_lines: int = 200
    informational: int = 8
    buffer_bytes: int = 256 * 1024
    sweep_ms: int = 250
