"""Who calls a consumer's route: an account, known by its API key."""

from dataclasses import dataclass

from starlette.requests import Request

from gateway.consumer.services import Prices
from gateway.headers import client_address, key_secrets
from gateway.identify import BAD_KEYS_PER_MINUTE
from gateway.problems import Problem, invalid_key, retry_after, unauthorized
from gateway.routes import Need
from gateway.throttle import Throttle
from ledger import api_keys
from ledger.facts import NEVER
from ledger.ledger import Ledger
from ledger.outage import OUTAGE
from ledger.ports import Clock


@dataclass(frozen=True, slots=True)
class Caller:
    """The account that asks, and the key it showed."""

    account: int
    key: int
    manages: bool


class KeyGate:
    """
    Lets callers in by their key.

    The key is looked up in Postgres each time, so a revoked one is refused at once. A frozen
    account may still look at what it has.
    """

    def __init__(self, ledger: Ledger, prices: Prices, clock: Clock) -> None:
        self._ledger = ledger
        self._prices = prices
        self._clock = clock
        self._bad_keys = Throttle(BAD_KEYS_PER_MINUTE, clock=clock)

    async def __call__(self, request: Request, need: Need) -> Caller | None:
        """
        Return who calls, or None where anybody may.

        Raises:
            Problem: 401 without a good key, 400 with two, 403 without the scope, 429 for an
                address that has shown too many bad ones.

        """
        if need == "nobody":
            return None
        secrets = key_secrets(request.headers.raw)
        if not secrets:
            raise unauthorized(
                "key-missing",
                "Send an API key: `Authorization: Bearer fbx_...` or `X-Api-Key: fbx_...`.",
            )
        if len(secrets) > 1:
            raise Problem("two-keys", "Send one Farebox key; which of them asks is unclear.")
        caller = await self.find(request, secrets[0])
        if need == "manage" and not caller.manages:
            raise Problem("scope-missing", "This needs a key with scope manage.")
        return caller

    async def find(self, request: Request, secret: bytes) -> Caller:
        """
        Return whose key this is.

        Raises:
            Problem: 401 for a bad key, 429 for an address that has shown too many of them.

        """
        peer = request.client.host if request.client else ""
        trusts = self._prices.current.trusts
        address = client_address(request.headers.raw, peer=peer, trusts=trusts)
        wait_s = self._bad_keys.retry_after_s(address)
        if wait_s:
            raise Problem(
                "rate-limited",
                "Too many unknown API keys came from this address; try again later.",
                headers=(retry_after(wait_s),),
            )
        # Counted before it is known to be bad, or many guesses at once would all be looked up.
        self._bad_keys.count(address)
        sha256 = api_keys.check_secret(secret.decode("latin-1"))
        key = None
        if sha256 is not None:
            try:
                async with self._ledger.database.connection() as connection:
                    key = await api_keys.find(connection, sha256)
            except OUTAGE:
                self._bad_keys.take_back(address)
                raise
        if key is None or not self._good(key):
            raise invalid_key()
        self._bad_keys.take_back(address)
        return Caller(key.account_id, key.id, bool(key.scopes & api_keys.MANAGE))

    def _good(self, key: api_keys.ApiKey) -> bool:
        unexpired = key.expires_ms == NEVER or key.expires_ms > self._clock.now_ms()
        return key.status == api_keys.ACTIVE and unexpired
