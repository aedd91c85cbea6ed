"""What every row of the bench is given."""

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.peers import PEERS, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Run:
    """
    How this run was asked for.

    quick: shorter rounds, for a look while changing code.
    peers: which of the gateways are compared, in the order of the tables.
    connections: how many at a time, where the row has a choice.
    """

    stage: Stage
    quick: bool = False
    peers: "Sequence[str]" = field(default_factory=lambda: tuple(PEERS))
    connections: "Sequence[int]" = (32, 256, 1)

    @property
    def rounds(self) -> int:
        return 2 if self.quick else 3

    @property
    def seconds(self) -> int:
        """Of one round of one peer."""
        return 3 if self.quick else 6

    def say(self, words: str) -> None:
        """Show how far it is."""
        print(words, file=sys.stderr, flush=True)
