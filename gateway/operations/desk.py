"""Who acts on which ledger: what every operation is given."""

from collections.abc import Callable
from dataclasses import dataclass

from ledger.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Desk:
    """
    A ledger, and the name under which it is changed.

    Attributes:
        actor: Kept with every change: an admin's name, `command:LOGIN` or `key_7`.
        random_bytes: Where secrets come from.
        pages_url: Where the consumer's pages are; links for people begin with it.

    """

    ledger: Ledger
    actor: str
    random_bytes: Callable[[int], bytes]
    pages_url: str

    async def push(self, account_id: int, cseq: int | None) -> bool:
        """
        Have Redis apply what was ordered of an account, and say whether it has.

        False means pending: the steward goes on pushing, nobody has to ask again. A change
        that ordered nothing (`cseq` is None) is in force already.
        """
        if cseq is None:
            return True
        return await self.ledger.pusher.push(account_id) == "applied"
