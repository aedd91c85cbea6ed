"""What every row of the bench is given."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers import PEERS


@dataclass(frozen=True)
class Run:
    """
    How this run was asked for.

    folder: the row's own, empty.
    quick: shorter rounds, for a look while changing code.
    peers: which of the gateways are compared, in the order of the tables.
    connections: how many at a time, where the row has a choice.
    """

    folder: Path
    quick: bool = False
    peers: Sequence[str] = tuple(PEERS)
    connections: Sequence[int] = (32, 256, 1)

    @property
    def rounds(self) -> int:
        return 2 if self.quick else 3

    @property
    def seconds(self) -> int:
        """Of one round of one peer."""
        return 3 if self.quick else 6

    def say(self, words: str) -> None:
        """Show how far it is."""
        print(f"  {words} ...", file=sys.stderr, flush=True)
