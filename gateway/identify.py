"""Whose request it is: from the key in its head to an account."""

import asyncio
import re
from typing import Final, NamedTuple, Protocol

from config import PriceList
from gateway.headers import client_address
from gateway.problems import Problem, invalid_key, retry_after, unauthorized
from gateway.request import Request
from gateway.throttle import Throttle
from ledger.errors import LedgerError
from ledger.ports import Clock

KEY_IN_QUERY: Final = re.compile(rb"(?:^|[=&])fbx_[0-9A-Za-z]{49}(?:&|$)")
"""Queries are logged everywhere: such a key is never read, and never passed on beside another."""

WATCHED_LIMIT_S = 1.0
"""A request that is only watched does not wait longer than this to know whose it is."""

MOST_LOOKED_UP = 64
"""Keys of watched requests that are being looked up at once; further requests go on unknown."""

UNKNOWN = "ledger-unavailable"
"""Nobody could say in time whose key it is."""

BAD_KEYS_PER_MINUTE = 600  # by address, which many may share; guessing is hopeless at any rate


class Caller(Protocol):
    """Whose key it is."""

    @property
    def account(self) -> int:
        """The account's number."""

    @property
    def key(self) -> int:
        """The key's number."""


class Seen(NamedTuple):
    """Whose request a watched one is; without a caller, the problem that would be its answer."""

    caller: Caller | None
    problem: str = ""


class KeyDirectory(Protocol):
    """Finds the account of a key, which never changes; answers may be remembered."""

    def remembered(self, secret: bytes) -> Caller | None:
        """Return whose key it is where that is known without a question."""

    async def find(self, secret: bytes) -> Caller | None:
        """Return whose key it is; None for one that was never made."""


class Identification:
    """Finds the caller. Whether the key is still good is checked with the hold, not here."""

    def __init__(
        self, keys: KeyDirectory, *, clock: Clock, watched_limit_s: float = WATCHED_LIMIT_S
    ) -> None:
        self._keys = keys
        self._watched_limit_s = watched_limit_s
        self._looking: set[asyncio.Task[Seen]] = set()
        self._bad_keys = Throttle(BAD_KEYS_PER_MINUTE, clock=clock)

    def secret(self, request: Request) -> bytes:
        """
        Return the key that the request carries in a header.

        Raises:
            Problem: 401 for none, 400 for two.
        """
        secrets = request.facts.secrets
        if not secrets:
            raise unauthorized(
                "key-missing",
                "Send an API key: `Authorization: Bearer fbx_...` or `X-Api-Key: fbx_...`.",
            )
        if len(secrets) > 1 or (request.query and KEY_IN_QUERY.search(request.query)):
            raise Problem(
                "two-keys",
                "Send one Farebox key, in a header; which of several should pay is unclear.",
            )
        return secrets[0]

    def remembered(self, secret: bytes) -> Caller | None:
        """Return whose key it is where that was found out before; asks nobody."""
        return self._keys.remembered(secret)

    async def find(self, secret: bytes, request: Request, prices: PriceList) -> Caller:
        """
        Ask whose key it is that is not remembered.

        It counts as a bad one before anybody is asked, or many guesses at once would all be
        looked up; one that turns out to be good is taken off again.

        Raises:
            Problem: 401 for an unknown key, 429 for an address that has shown too many of them.
            LedgerError: Postgres does not answer.
        """
        address = client_address(request.headers, peer=request.peer, trusts=prices.trusts)
        wait_s = self._bad_keys.retry_after_s(address)
        if wait_s:
            raise Problem(
                "rate-limited",
                "Too many unknown API keys came from this address; try again later.",
                headers=(retry_after(wait_s),),
            )
        self._bad_keys.count(address)
        try:
            caller = await self._keys.find(secret)
        except LedgerError:
            self._bad_keys.take_back(address)  # nobody has said that it is bad
            raise
        if caller is None:
            raise invalid_key()
        self._bad_keys.take_back(address)
        return caller

    async def caller_if_known(self, request: Request, prices: PriceList) -> Seen:
        """Return whose key it is where that can be told soon; refuses nothing (for `observe`)."""
        secrets = request.facts.secrets
        if not secrets:
            return Seen(None, "key-missing")
        if len(secrets) > 1 or KEY_IN_QUERY.search(request.query):
            return Seen(None, "two-keys")
        remembered = self._keys.remembered(secrets[0])
        if remembered is not None:
            return Seen(remembered)
        if len(self._looking) >= MOST_LOOKED_UP:
            return Seen(None, UNKNOWN)
        look = self._look(secrets[0], request, prices)
        await asyncio.wait({look}, timeout=self._watched_limit_s)
        return look.result() if look.done() and not look.cancelled() else Seen(None, UNKNOWN)

    def _look(self, secret: bytes, request: Request, prices: PriceList) -> asyncio.Task[Seen]:
        """Look a key up beside its request, which may go on without it; the next one will know."""
        look = asyncio.ensure_future(self._seen(secret, request, prices))
        self._looking.add(look)
        look.add_done_callback(self._looking.discard)
        return look

    async def _seen(self, secret: bytes, request: Request, prices: PriceList) -> Seen:
        try:
            return Seen(await self.find(secret, request, prices))
        except Problem as problem:
            return Seen(None, problem.name)
        except LedgerError:
            return Seen(None, UNKNOWN)
