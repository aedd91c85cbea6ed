"""
Where one request ends and the next begins, decided strictly, before uvicorn's parser sees a byte.

Start at `framing.py`, which does no I/O; `protocol.py` puts it in front of uvicorn.
"""

from gateway.framing.framing import Framing
from gateway.framing.limits import FramingLimits
from gateway.framing.protocol import (
    ARRIVED,
    CUT,
    REFUSED,
    REQUEST_ID,
    Refused,
    StrictHttpProtocol,
    strict_http,
)
from gateway.framing.refusal import Refusal
from gateway.framing.upgrade import UPGRADE, Given, Successor
from gateway.framing.witness import Witness

__all__ = [
    "ARRIVED",
    "CUT",
    "REFUSED",
    "REQUEST_ID",
    "UPGRADE",
    "Framing",
    "FramingLimits",
    "Given",
    "Refusal",
    "Refused",
    "StrictHttpProtocol",
    "Successor",
    "Witness",
    "strict_http",
]
