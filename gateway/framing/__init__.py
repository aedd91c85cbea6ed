"""
HTTP/1.1 with clients: where one request ends and the next begins, decided strictly.

Start at `framing.py`, which does no I/O; `protocol.py` is a connection for uvicorn's server,
`turn.py` one request on it with its answer.
"""

from gateway.framing.fast import FastPath, Passage
from gateway.framing.framing import Framing
from gateway.framing.head import Block, Head
from gateway.framing.limits import FramingLimits
from gateway.framing.protocol import StrictHttpProtocol, strict_http
from gateway.framing.refusal import Refusal
from gateway.framing.turn import TURN, Refused, Turn, answer_lines
from gateway.framing.upgrade import Given, Successor
from gateway.framing.witness import Witness

__all__ = [
    "TURN",
    "Block",
    "FastPath",
    "Framing",
    "FramingLimits",
    "Given",
    "Head",
    "Passage",
    "Refusal",
    "Refused",
    "StrictHttpProtocol",
    "Successor",
    "Turn",
    "Witness",
    "answer_lines",
    "strict_http",
]
