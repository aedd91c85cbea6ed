"""What a WebSocket may take, and why that much."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """
    Limits of one connection. How large a message may be is the route's `max_body`.

    Memory needs no limit of its own: a frame is never gathered. Each direction holds what its
    transport has not sent (64 KiB, then reading stops) and one read of the event loop (256 KiB).

    Attributes:
        slice_ms: The longest time one charge covers; its price is worked out for a minute.
        lead_ms: So long before a charge is used up the next one is held, so that a slow
            ledger does not interrupt anybody.
        retry_ms: Between two tries to hold the next charge, when one was refused: the customer
            may have bought credits, and Redis may be back.
        idle_ms: An end that was silent for so long is pinged. Below the minute after which
            nginx and most load balancers cut what is idle.
        pong_ms: An end that says nothing for so long after a ping is gone. Nobody pays for a
            connection to nobody.
        stall_ms: How long an end may take none of the bytes that wait for it.
        close_ms: How long the closing handshake may take once it has begun.
    """

    slice_ms: int = 60_000
    lead_ms: int = 5_000
    retry_ms: int = 1_000
    idle_ms: int = 30_000
    pong_ms: int = 20_000
    stall_ms: int = 60_000
    close_ms: int = 5_000
