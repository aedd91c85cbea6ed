"""
Talking to the backends: one request up, one response down, both streamed.

Start at `door.py`; `h1.py` is the client in use, `httpx_client.py` the reference beside it,
which is not imported here: only who asks for it needs httpx.
"""

from gateway.upstream.door import (
    SharedLines,
    UpstreamAddress,
    UpstreamClient,
    UpstreamRequest,
    UpstreamResponse,
)
from gateway.upstream.errors import (
    UpstreamBusy,
    UpstreamCut,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRefused,
    UpstreamReset,
    UpstreamTimeout,
)
from gateway.upstream.h1 import H1Client
from gateway.upstream.limits import UpstreamLimits
from gateway.upstream.request_head import shared_lines

__all__ = [
    "H1Client",
    "SharedLines",
    "UpstreamAddress",
    "UpstreamBusy",
    "UpstreamClient",
    "UpstreamCut",
    "UpstreamError",
    "UpstreamInvalid",
    "UpstreamLimits",
    "UpstreamRefused",
    "UpstreamRequest",
    "UpstreamReset",
    "UpstreamResponse",
    "UpstreamTimeout",
    "shared_lines",
]
