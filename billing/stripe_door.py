"""
The way to Stripe: one client, one pinned API version, errors as ours.

Every call is made as `with translated(): answer = await door.v1.<service>.<method>_async(...)`.
What comes back is read with `at`, since a `StripeObject` is no mapping and an absent field raises.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from billing.stripe_keys import LIVE_KEYS, TEST_KEYS

if TYPE_CHECKING:
    from stripe import StripeClient

    from billing.stripe_sdk import Http

API_VERSION = "2026-10-28.endive"
"""The one the SDK's release was made for; objects are read in no other shape."""

TIMEOUT_S = 10.0
NETWORK_RETRIES = 2
"""Safe for every call: a POST carries an idempotency key, ours or one the SDK makes."""

PAGE = 100
"""Objects a list gives at once, Stripe's most."""

IDEMPOTENCY_ERROR = "idempotency_error"
"""The code we give to a refused key: it was used before with other parameters."""

Record: TypeAlias = Callable[[str, str], None]
"""Told the type (the SDK's class name) and the code of an error."""

Livemode: TypeAlias = bool
"""Whether money is real; part of every key, since test and live objects never meet."""


class StripeDoor:
    """
    A client of Stripe. Belongs to one event loop; made by `open`, ended by `aclose`.

    Attributes:
        livemode: Whether money is real, as the key says.

    """

    def __init__(self, client: "StripeClient", http: "Http", *, livemode: bool) -> None:
        self.livemode = livemode
        self._client = client
        self._http = http
        self._account_id: str | None = None

    @classmethod
    def open(cls, secret_key: str, api_base: str | None, *, record: Record | None = None) -> Self:
        """
        Make a client; nothing is sent yet.

        Args:
            secret_key: A secret or restricted key; its prefix decides the mode.
            api_base: Another address than Stripe's, for tests.
            record: Told the type (the SDK's class name) and code of every error answer.

        Raises:
            ValueError: The key is not one of Stripe's, or a live one for another address.

        """
        if not secret_key.startswith(LIVE_KEYS + TEST_KEYS):
            raise ValueError(
                "STRIPE_SECRET_KEY begins with sk_live_, rk_live_, sk_test_ or rk_test_"
            )
        livemode = secret_key.startswith(LIVE_KEYS)
        if livemode and api_base:
            raise ValueError("STRIPE_API_BASE is for tests and cannot be used with a live key")
        # The SDK takes 16 MB and a quarter of a second; who sells nothing is spared both.
        from billing.stripe_sdk import Http, client_of  # noqa: PLC0415

        http = Http(record, timeout_s=TIMEOUT_S)
        client = client_of(
            secret_key, http, api_base, version=API_VERSION, network_retries=NETWORK_RETRIES
        )
        return cls(client, http, livemode=livemode)

    @property
    def v1(self) -> Any:
        """Stripe's v1 services. Untyped: half of what they take and give is `str | Object`."""
        return self._client.v1

    async def account_id(self) -> str:
        """
        Return the id of the Stripe account that the key belongs to; asked once.

        Raises:
            StripeRefused, StripeUnavailable: It is not known, and asked again next time.

        """
        if self._account_id is None:
            with translated():
                account = await self.v1.accounts.retrieve_current_async()
            self._account_id = str(account.id)
        return self._account_id

    async def aclose(self) -> None:
        """Close the connections. A repeat is harmless."""
        await self._http.close_async()  # type: ignore[no-untyped-call]


@contextmanager
def translated() -> Iterator[None]:
    """
    Turn what the SDK raises into our errors; may stand around an `await`.

    Raises:
        CardDeclined: A payment was refused.
        StripeRefused: Anything else that was refused; Stripe did nothing.
        StripeUnavailable: No answer, a fault of Stripe's, too many calls, or a key that is not
            taken: what became of the call is unknown.

    """
    try:
        yield
    except Exception as error:
        from billing.stripe_sdk import ours_of  # noqa: PLC0415 - see `StripeDoor.open`

        ours = ours_of(error)
        if ours is None:
            raise
        raise ours from error


async def listed(
    method: Callable[..., Awaitable[Any]], params: Mapping[str, Any] | None = None
) -> AsyncIterator[Any]:
    """
    Yield everything a list method of Stripe's has, page after page.

    Args:
        method: Like `door.v1.refunds.list_async`; takes `params`.
        params: Its filters.

    Raises:
        StripeRefused, StripeUnavailable: A page could not be read; what came before was whole.

    """
    asked: dict[str, Any] = {"limit": PAGE, **(params or {})}
    while True:
        with translated():
            page = await method(params=asked)
        for item in page.data:
            yield item
        if not page.has_more or not page.data:
            return
        asked = {**asked, "starting_after": page.data[-1].id}


def at(thing: Any, path: str) -> Any:
    """Read `a.b.0.c` in what Stripe gave; None where anything on the way is absent or null."""
    for step in path.split("."):
        try:
            thing = thing[int(step)] if isinstance(thing, list) else thing[step]
        except (KeyError, TypeError, IndexError, ValueError):
            return None
    return thing


def ident(expandable: Any) -> str | None:
    """Return the id of what may be an id, an expanded object or null."""
    if expandable is None or isinstance(expandable, str):
        return expandable
    return str(expandable["id"])


def moment(seconds: int | None) -> datetime | None:
    """Return Stripe's seconds since 1970 as a time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
