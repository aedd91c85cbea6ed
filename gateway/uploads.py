"""Bodies still on their way: they may take only part of the connections to an upstream."""

from collections import Counter

from gateway.request import Request
from gateway.upstream import UpstreamAddress, UpstreamBusy

LARGEST_SHARE = 2
"""One in so many connections of an upstream. A client that sends slowly keeps one for as long as
it likes; the other half stays for requests that are whole, so that nobody waits for a client."""

_Place = tuple[str, str, int]


class Uploads:
    """Counts, for each upstream of this worker, requests whose body has not arrived whole."""

    def __init__(self) -> None:
        self._under_way: Counter[_Place] = Counter()

    def enter(self, upstream: UpstreamAddress, request: Request) -> None:
        """
        Let a request go up. To be asked before anything is held for it.

        Raises:
            UpstreamBusy: Its body is not here, and too many others are on their way already.
        """
        if request.arrived or request.when_body_ended is not None:
            return  # a request that is priced twice enters once
        place = (upstream.scheme, upstream.host, upstream.port)
        if self._under_way[place] >= max(1, upstream.max_connections // LARGEST_SHARE):
            raise UpstreamBusy("too many bodies are on their way")
        self._under_way[place] += 1
        request.when_body_ended = lambda: self._leave(place)

    def leave(self, request: Request) -> None:
        """Note that a request has ended, whether its body did or not; a repeat is harmless."""
        ended, request.when_body_ended = request.when_body_ended, None
        if ended is not None:
            ended()

    def _leave(self, place: _Place) -> None:
        self._under_way[place] -= 1
        if not self._under_way[place]:
            del self._under_way[place]
