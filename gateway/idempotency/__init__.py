"""
A consumer's Idempotency-Key: the same request under the same key is charged at most once.

Start at `once.py`: the block around a hold that no other request of the key may have. What the
key is, and what "the same request" is, stands in `key.py`; answers that a route keeps pass
through `keeping.py`. A request without the header meets none of this.
"""

from gateway.idempotency.key import LARGEST_BODY
from gateway.idempotency.once import Answered, Idempotency, Once
from gateway.idempotency.replay import send_reply

__all__ = ["LARGEST_BODY", "Answered", "Idempotency", "Once", "send_reply"]
