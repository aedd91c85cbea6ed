"""The names of a shard's keys in Redis; every script is given all it touches as KEYS."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one shard; the braces put them into one Cluster slot."""

    namespace: str = "fbx"
    shard: int = 0

    @property
    def meta(self) -> str:
        """The shard's packed state."""
        return f"{self._prefix}:m"

    def journal(self, epoch: int) -> str:
        """Return the stream of entries."""
        return f"{self._prefix}:j:{epoch}"

    def balances(self, epoch: int) -> str:
        """Return the hash of accounts, keys and sessions."""
        return f"{self._prefix}:b:{epoch}"

    def holds(self, epoch: int) -> str:
        """Return the hash of open holds and closed marks."""
        return f"{self._prefix}:h:{epoch}"

    def token(self, epoch: int, account: int) -> str:
        """Return the load token of an account, which lives for five seconds."""
        return f"{self._prefix}:t:{epoch}:{account}"

    def claim(self, epoch: int, account: int, key_hash: bytes) -> str:
        """Return who has an Idempotency-Key of an account; it lives for a day."""
        return f"{self._prefix}:i:{epoch}:{account}:{key_hash.hex()}"

    def of(self, epoch: int) -> tuple[str, str, str, str]:
        """KEYS[1..4] of every script: meta, journal, balances, holds."""
        return (self.meta, self.journal(epoch), self.balances(epoch), self.holds(epoch))

    @property
    def _prefix(self) -> str:
        return f"{self.namespace}:{{s{self.shard}}}"
