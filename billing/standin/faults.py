"""
Failing on demand, as networks and providers do.

* error_before  500, nothing done          * cut_before  the connection breaks, nothing done
* error_after   500, although it was done  * cut_after   the connection breaks, although it was done
* rate_limited  429, nothing done          * slow        the answer takes a while
"""

import fnmatch
import random
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

FaultKind = Literal[
    "error_before", "error_after", "cut_before", "cut_after", "rate_limited", "slow"
]


@dataclass(slots=True)
class Fault:
    """
    What goes wrong, where and how often.

    Attributes:
        path: A path or a pattern with `*`; like `/v1/refunds` or `/v1/customers/*`.
        method: GET, POST, DELETE, or `*` for any.
        count: How many more requests it hits.
        chance: Of each of them, between 0 and 1.
        skip: How many matching requests pass first.
        should_retry: The Stripe-Should-Retry header; None for none.
        seconds: How long `slow` takes, on the machine's clock.

    """

    kind: FaultKind
    path: str = "*"
    method: str = "*"
    count: int = 1
    chance: float = 1.0
    skip: int = 0
    should_retry: bool | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"no fault is named {self.kind}")


class Faults:
    """The faults that are still to come, in the order they were asked for."""

    def __init__(self, chances: random.Random) -> None:
        self._chances = chances
        self._waiting: list[Fault] = []

    def add(self, kind: FaultKind, path: str = "*", **details: Any) -> None:
        """Ask for a fault; see `Fault`."""
        self._waiting.append(Fault(kind, path, **details))

    def clear(self) -> None:
        """From now on nothing fails on purpose."""
        self._waiting.clear()

    def waiting(self) -> list[dict[str, Any]]:
        """Those that have not hit all they were asked to."""
        return [asdict(fault) for fault in self._waiting]

    def take(self, method: str, path: str) -> Fault | None:
        """Return what hits this request, if anything does; it counts as used."""
        for fault in self._waiting:
            if fault.method in ("*", method) and fnmatch.fnmatchcase(path, fault.path):
                if fault.skip:
                    fault.skip -= 1
                elif self._chances.random() < fault.chance:
                    fault.count -= 1
                    if fault.count <= 0:
                        self._waiting.remove(fault)
                    return fault
        return None
