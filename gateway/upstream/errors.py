"""
What can go wrong between the gateway and a backend.

* UpstreamError
  - UpstreamRefused   no connection could be had; nothing was sent
    - UpstreamBusy    all connections are in use and the queue is full or was too slow
  - UpstreamReset     the connection died before a response head; `sent` says if it may have acted
  - UpstreamTimeout   nothing came in time; `phase` says what was waited for
  - UpstreamCut       the response body ended before it was complete
  - UpstreamInvalid   the response breaks HTTP's rules, or a limit of ours
"""

from typing import Literal

Phase = Literal["connect", "first_byte", "idle"]


class UpstreamError(Exception):
    """The backend did not give one whole, valid response."""


class UpstreamRefused(UpstreamError):
    """No connection could be had: refused, no such host, certificate not accepted. Nothing sent."""


class UpstreamBusy(UpstreamRefused):
    """All connections to this upstream are in use and no place in the queue led to one."""


class UpstreamReset(UpstreamError):
    """
    The connection died before a response head had come.

    Attributes:
        sent: Some byte of the request may have reached the upstream.
        head_sent: All of the request's head may have: the upstream may have acted on it.
    """

    def __init__(self, message: str, *, sent: bool, head_sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
        self.head_sent = head_sent


class UpstreamTimeout(UpstreamError):
    """
    The upstream was too slow.

    Attributes:
        phase: `connect`: no connection (nothing sent). `first_byte`: no response head after the
            request. `idle`: it stopped taking the request body or sending the response body.
    """

    def __init__(self, message: str, *, phase: Phase) -> None:
        super().__init__(message)
        self.phase = phase


class UpstreamCut(UpstreamError):
    """The response head came, but the body ended before its Content-Length or last chunk."""


class UpstreamInvalid(UpstreamError):
    """The response cannot be passed on: its framing is ambiguous, broken or beyond a limit."""
