"""
Where one request ends and the next begins, decided strictly, before uvicorn's parser sees a byte.

Start at `framing.py`, which does no I/O; `protocol.py` puts it in front of uvicorn.
"""

from gateway.framing.framing import Framing
from gateway.framing.limits import FramingLimits
from gateway.framing.protocol import CUT, REFUSED, StrictHttpProtocol, strict_http
from gateway.framing.refusal import Refusal

__all__ = [
    "CUT",
    "REFUSED",
    "Framing",
    "FramingLimits",
    "Refusal",
    "StrictHttpProtocol",
    "strict_http",
]
