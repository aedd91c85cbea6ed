"""
The fast path: most requests need nothing special, and are served in a few calls.

It does what the main flow (`gateway/proxy.py`) does for a request that has no body and a fixed
price, whose caller is remembered, and whose answer comes whole and in one piece: in the turns of
the event loop that bring its bytes, without a task's switches, with all that is the same for each
such request worked out once (`prepare.py`). At the first thing that is not usual (a refused hold,
no kept connection to the backend, a longer answer, an error, a client that leaves) it leaves the
request, and what was begun of it (`begun.py`), to the main flow; a metered request when its answer
comes, of a stream behind the first piece. Nothing is decided here twice: what is charged, what may
go up and down, and what an order looks like are asked of the same functions.
"""

from gateway.fast_path.begun import Begun
from gateway.fast_path.fast_path import FastPath

__all__ = ["Begun", "FastPath"]
