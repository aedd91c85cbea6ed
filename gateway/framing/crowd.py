"""How many connections there are, and from where: one caller may not take the place of all."""

from collections import Counter
from collections.abc import Callable

from gateway.addresses import one_caller
from gateway.framing.limits import FramingLimits
from gateway.framing.refusal import Refusal

_FROM_HERE = Refusal(429, "too-many-connections", "Too many connections from this address.")
_AT_ALL = Refusal(503, "server-full", "The gateway has as many connections as it takes.")


class Crowd:
    """The open connections of one server, by caller. One that was refused is not counted."""

    def __init__(self) -> None:
        self._by_caller: Counter[str] = Counter()
        self._all = 0

    def __len__(self) -> int:
        return self._all

    def enter(
        self, address: str, limits: FramingLimits, shared: Callable[[str], bool]
    ) -> Refusal | None:
        """
        Count a new connection, or say why there is no room for it.

        `shared` says of an address that many callers stand behind it: of a proxy in front, which
        has limits of its own. A Unix socket has no address, and is counted with all only.
        """
        if self._all >= limits.connections:
            return _AT_ALL
        caller = one_caller(address)
        if (
            self._by_caller[caller] >= limits.connections_per_address
            and address
            and not shared(address)
        ):
            return _FROM_HERE
        self._by_caller[caller] += 1
        self._all += 1
        return None

    def leave(self, address: str) -> None:
        """Take back one that entered."""
        caller = one_caller(address)
        self._by_caller[caller] -= 1
        if self._by_caller[caller] <= 0:
            del self._by_caller[caller]  # the memory is of those who are here
        self._all -= 1
