"""What the framing refused, kept in mind as requests are: an id, a line in the log, a count."""

from gateway.access_log import AccessLog, Line
from gateway.framing import Refusal
from gateway.metrics import Metrics
from gateway.prices import LivePrices
from ledger.ids import HoldIds, hold_text
from ledger.ports import Clock


class Refusals:
    """Hears of what no application hears of; see `gateway.framing.Witness`."""

    def __init__(
        self,
        *,
        prices: LivePrices,
        access_log: AccessLog,
        metrics: Metrics,
        clock: Clock,
        nonce: int,
    ) -> None:
        """`nonce` is 32 random bits of its own: they stand where ids of holds have the session."""
        self._prices = prices
        self._access_log = access_log
        self._metrics = metrics
        self._clock = clock
        self._ids = HoldIds(clock)
        self._nonce = nonce

    @property
    def prefix(self) -> str:
        """Where our own routes lie."""
        return self._prices.current.prefix

    def new_id(self) -> str:
        """Return an id of the form that all requests have."""
        return hold_text(self._ids.mint(self._nonce))

    def refused(self, refusal: Refusal, request_id: str, address: str) -> None:
        """
        Log and count it. The method is not told: what was sent could not be read as a request.

        A flood costs lines, not memory: the log drops what it cannot write.
        """
        self._metrics.refused(refusal.status, refusal.name)
        self._access_log.add(
            Line(
                at_us=self._clock.now_us(),
                request_id=request_id,
                method="",
                route="",
                status=refusal.status,
                account=0,
                key=0,
                captured=0,
                reason=refusal.name,
                duration_us=0,
                sent_bytes=0,
                client=address,
            )
        )

    def is_shared(self, address: str) -> bool:
        """Whether it is a proxy of the operator's, behind which many callers stand."""
        return self._prices.current.trusts(address)
