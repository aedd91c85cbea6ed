"""What many seeds came to: as text, as rows of the proof, and as the table of mutants."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.proof import Proof, tell
from tests.simulation.faults import FAULTS
from tests.simulation.mutants import Mutant
from tests.simulation.run import Outcome

BEGIN, END = "<!-- mutants -->", "<!-- end of mutants -->"


@dataclass
class Total:
    """All seeds of a run."""

    stats: Counter[str] = field(default_factory=Counter)
    worst: tuple[int, int] = (0, 0)
    """Units lost with gateway and Redis in one epoch, and how many may be."""

    worst_setback: int = 0
    slowest_probe_ms: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count a seed in."""
        stats = outcome.stats
        self.stats += stats
        self.worst = max(self.worst, (stats["worst_double_fault"], stats["worst_allowed"]))
        self.worst_setback = max(self.worst_setback, stats["units_lost_with_postgres"])
        self.slowest_probe_ms = max(self.slowest_probe_ms, stats["probe_ms"])

    def text(self, bad: int, seconds: float) -> str:
        """Return the figures, one a line."""
        stats, (worst, allowed) = self.stats, self.worst
        rows = [
            ("seeds", stats["seeds"]),
            ("seeds with a violation", bad),
            ("simulated hours", round(stats["seconds"] / 3_600, 1)),
            ("requests", stats["requests"]),
            ("served", stats["served"]),
            ("script calls", stats["scripts"]),
            ("epochs begun", stats["epochs"]),
            ("faults", stats["faults"]),
            *((f"  {name_of(fault)}", stats[fault.__name__]) for fault in FAULTS),
            ("facts that broke a rule", stats["dead_facts"]),
            ("epochs begun, accounts released by hand", stats["rebuilt"] + stats["released"]),
            ("late captures", stats["late"]),
            ("slowest probe, simulated ms", self.slowest_probe_ms),
            ("units served", stats["units_served"]),
            ("units lost while the gateway lived", stats["units_lost_alive"]),
            ("units lost with the gateway, in flight", stats["units_lost_in_flight"]),
            ("units lost with gateway and Redis", stats["units_lost_in_double_faults"]),
            ("  most of them in one epoch", worst),
            ("  of so many that may be", allowed),
            ("units lost with both stores", stats["units_lost_with_postgres"]),
            ("units in dead facts, left to a person", stats["units_left_to_a_person"]),
            ("units written off for lack of balance", stats["units_written_off"]),
            ("seconds", round(seconds)),
        ]
        return "\n".join(f"{name:<42}{value:>12,}" for name, value in rows)

    def tell(self) -> None:
        """Add rows to the proof: the whole, each kind of fault, and what was lost how."""
        stats, (worst, allowed) = self.stats, self.worst
        tell(
            Proof(
                "T1",
                "All that follows, at random moments and at once",
                seeds=stats["seeds"],
                operations=stats["requests"],
                lost_by_house=stats["units_lost_alive"],
                slowest_probe_ms=self.slowest_probe_ms,
            )
        )
        for fault in FAULTS:
            tell(Proof("T1", name_of(fault), faults=stats[fault.__name__]))
        tell(
            Proof(
                "T1",
                "The gateway died too: worst epoch",
                lost_by_house=worst,
                allowed=f"window {allowed}",
            )
        )
        tell(
            Proof(
                "T1",
                "Postgres lost what it had confirmed, and Redis its journal: worst history",
                lost_by_house=self.worst_setback,
                allowed="what the standby lacked",
            )
        )


@dataclass(frozen=True)
class Tried:
    """A mutant, after how many seeds it was noticed or given up, and by what."""

    mutant: Mutant
    seeds: int
    noticed: str

    def text(self) -> str:
        """One line for a terminal."""
        needed = f"{self.seeds:>6}" if self.noticed else f"not in {self.seeds}"
        return f"{self.mutant.name:<32} {needed}  {self.noticed}"

    def tell(self) -> None:
        """Add a row to the proof."""
        noticed = "" if self.noticed else ": not noticed"
        tell(Proof("T1m", f"without: {self.mutant.name}{noticed}", seeds=self.seeds))

    def row(self) -> str:
        """Return the row of the table in the document."""
        needed = f"{self.seeds:,}" if self.noticed else f"not in {self.seeds:,}"
        what = self.noticed or self.mutant.why
        cells = (self.mutant.name, self.mutant.removed, needed, what.replace("|", "/"))
        return f"| {' | '.join(cells)} |"


def write(path: Path, rows: list[Tried]) -> None:
    """Put the table of mutants between its marks in a document."""
    before, begun, rest = path.read_text("utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise SystemExit(f"the document lacks the marks {BEGIN} and {END}")
    table = [
        "| removed | so that | seeds needed | noticed by, or why not |",
        "|---|---|---:|---|",
        *(row.row() for row in rows),
    ]
    path.write_text("\n".join([before + BEGIN, *table, END + after]), "utf-8")


def name_of(fault: object) -> str:
    """Return a fault's name in words."""
    name: str = fault.__name__  # type: ignore[attr-defined]
    return name.replace("_", " ")
