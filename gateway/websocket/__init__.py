"""
WebSockets through the proxy: frames pass unchanged, and the connection is paid for as it goes.

Start at `tunnel.py`, which is given a connection that both ends have agreed on; `lane.py` follows
the frames of one direction, `relay.py` joins two directions, `chain.py` has the charges.
"""

from gateway.websocket.chain import Chain, Link
from gateway.websocket.handshake import offered_extensions
from gateway.websocket.limits import WebSocketLimits
from gateway.websocket.toll import Counted, Free, Toll
from gateway.websocket.tunnel import Tunnel

__all__ = [
    "Chain",
    "Counted",
    "Free",
    "Link",
    "Toll",
    "Tunnel",
    "WebSocketLimits",
    "offered_extensions",
]
