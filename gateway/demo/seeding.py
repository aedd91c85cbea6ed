"""What the demo needs in the ledger: an account, credits to spend, a key. A repeat adds nothing."""

from dataclasses import dataclass

from gateway.data_folder import DataFolder
from gateway.operations import accounts, grants, keys
from gateway.operations.desk import Desk
from ledger import api_keys
from ledger.ports import Clock

ACCOUNT = "demo"
CREDITS = 1_000
KEY_FILE = "demo-key"

POSTED_LIMIT_S = 10.0
LOOK_S = 0.05
"""Posting a first grant takes a tenth of a second; the demo does not fail if it takes longer."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """The demo's account and a key of it that works."""

    account: str
    key: str
    available: int

    def __repr__(self) -> str:
        """Without the key: this may end in a log."""
        return f"Seeded({self.account!r}, available={self.available})"


async def seed(desk: Desk, folder: DataFolder, clock: Clock) -> Seeded:
    """
    Make what is missing.

    The key is the same on every run: its secret, of which the ledger keeps only a hash, lies
    in the data folder, readable by its owner.
    """
    change = accounts.AccountChange(name="Demo account", plan="demo")
    account = await accounts.put(desk, ACCOUNT, change)
    draft = grants.GrantDraft(
        credit_type="credits",
        amount=CREDITS,
        kind="promotion",
        description="To try Farebox with",
        reference="demo-start",
    )
    await grants.grant(desk, account.id, draft)
    key = await kept_key(desk, folder) or await new_key(desk, folder, account.id)
    return Seeded(account.id, key, await available(desk, account.id, clock))


async def kept_key(desk: Desk, folder: DataFolder) -> str | None:
    """Return the key of the run before, if it still is one."""
    kept = folder.secret(KEY_FILE)
    sha256 = api_keys.check_secret(kept[0]) if kept else None
    if kept is None or sha256 is None:
        return None
    async with desk.ledger.database.connection() as connection:
        key = await api_keys.find(connection, sha256)
    return kept[0] if key is not None and key.status == api_keys.ACTIVE else None


async def new_key(desk: Desk, folder: DataFolder, account: str) -> str:
    """Make a key that may do everything the consumer's routes offer, and keep its secret."""
    made = await keys.create(desk, account, keys.KeyDraft(name="demo", scopes=["call", "manage"]))
    folder.keep_secret(KEY_FILE, made.key)
    return made.key


async def available(desk: Desk, account: str, clock: Clock) -> int:
    """Return what can be spent, once the first grant is posted; that takes a moment."""
    limit = clock.monotonic() + POSTED_LIMIT_S
    while True:
        shown = await accounts.show(desk, account)
        for balance in shown.balances:
            if balance.credit_type == "credits" and balance.granted >= CREDITS:
                return balance.available
        if clock.monotonic() > limit:
            return CREDITS
        await clock.sleep(LOOK_S)
