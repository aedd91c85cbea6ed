"""
What the demo needs in the ledger. A repeat adds nothing.

One account with credits to spend, and one with too few, which is refused until it has bought
some; a key for each.
"""

from dataclasses import dataclass

from gateway.data_folder import DataFolder
from gateway.operations import accounts, grants, keys
from gateway.operations.desk import Desk
from ledger import api_keys
from ledger.ports import Clock

ACCOUNT = "demo"
CREDITS = 1_000
KEY_FILE = "demo-key"

POOR_ACCOUNT = "poor"
POOR_CREDITS = 1
"""One call of the welcome costs 2."""
POOR_KEY_FILE = "demo-poor-key"

POSTED_LIMIT_S = 10.0
LOOK_S = 0.05
"""Posting a first grant takes a tenth of a second; the demo does not fail if it takes longer."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """
    The demo's account and a key of it that works; and the account that has to buy.

    `sign_in` opens the first account's pages: once, within ten minutes.
    """

    account: str
    key: str
    available: int
    poor: int
    poor_key: str
    sign_in: str = ""

    def __repr__(self) -> str:
        """Without the keys: this may end in a log."""
        return f"Seeded({self.account!r}, available={self.available})"


async def seed(desk: Desk, folder: DataFolder, clock: Clock) -> Seeded:
    """
    Make what is missing.

    The keys are the same on every run: their secrets, of which the ledger keeps only hashes,
    lie in the data folder, readable by its owner.
    """
    account = await _account(desk, ACCOUNT, "Demo account", CREDITS, "demo-start")
    poor = await _account(desk, POOR_ACCOUNT, "Account that has to buy", POOR_CREDITS, "poor-start")
    link = await accounts.sign_in(desk, account)
    return Seeded(
        account,
        await _key(desk, folder, account, KEY_FILE),
        await available(desk, account, CREDITS, clock),
        await available(desk, poor, POOR_CREDITS, clock),
        await _key(desk, folder, poor, POOR_KEY_FILE),
        link.url,
    )


async def _account(desk: Desk, name: str, title: str, amount: int, reference: str) -> str:
    """Make an account with credits, unless it is there; return its id."""
    change = accounts.AccountChange(name=title, plan="demo")
    account = await accounts.put(desk, name, change)
    draft = grants.GrantDraft(
        credit_type="credits",
        amount=amount,
        kind="promotion",
        description="To try Farebox with",
        reference=reference,
    )
    await grants.grant(desk, account.id, draft)
    return account.id


async def _key(desk: Desk, folder: DataFolder, account: str, file: str) -> str:
    return await kept_key(desk, folder, file) or await new_key(desk, folder, account, file)


async def kept_key(desk: Desk, folder: DataFolder, file: str) -> str | None:
    """Return the key of the run before, if it still is one."""
    kept = folder.secret(file)
    sha256 = api_keys.check_secret(kept[0]) if kept else None
    if kept is None or sha256 is None:
        return None
    async with desk.ledger.database.connection() as connection:
        key = await api_keys.find(connection, sha256)
    return kept[0] if key is not None and key.status == api_keys.ACTIVE else None


async def new_key(desk: Desk, folder: DataFolder, account: str, file: str) -> str:
    """Make a key that may do everything the consumer's routes offer, and keep its secret."""
    made = await keys.create(desk, account, keys.KeyDraft(name="demo", scopes=["call", "manage"]))
    folder.keep_secret(file, made.key)
    return made.key


async def available(desk: Desk, account: str, at_least: int, clock: Clock) -> int:
    """Return what can be spent, once the first grant is posted; that takes a moment."""
    limit = clock.monotonic() + POSTED_LIMIT_S
    while True:
        shown = await accounts.show(desk, account)
        for balance in shown.balances:
            if balance.credit_type == "credits" and balance.granted >= at_least:
                return balance.available
        if clock.monotonic() > limit:
            return at_least
        await clock.sleep(LOOK_S)
