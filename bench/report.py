"""What a run has found: as text, as a Markdown table, as JSON and as a chart."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.chart import bars
from bench.measures.cpu import Rounds

MUST = {"nginx+lua": 1.3, "hello": 2.6, "simple": 1 / 25}
"""The most that Farebox may cost, as a multiple of each peer's CPU per request."""


HEADS = (
    "peer",
    "CPU µs/request",
    "rounds",
    "Farebox is",
    "must be",
    "median",
    "p99",
    "requests",
    "errors",
)


@dataclass
class Report:
    machine: dict[str, str]
    cpu: dict[int, dict[str, Rounds]] = field(default_factory=dict)
    charged: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By peer: requests that reached the backend, and units charged at one each."""
    figures: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def text(self) -> str:
        parts = [f"{name}: {value}" for name, value in self.machine.items()]
        parts += [f"not measured: {reason}" for reason in self.missing]
        for connections, found in self.cpu.items():
            parts += ["", f"{connections} connections", *_lines(found)]
        parts += ["", *(f"{name}: {value}" for name, value in self.figures.items())]
        parts += [
            f"{name}: {served:,} served, {units:,} units charged"
            for name, (served, units) in self.charged.items()
        ]
        return "\n".join(parts)

    def markdown(self) -> str:
        day = datetime.now(UTC).date().isoformat()
        parts = [f"# {day}", "", "; ".join(f"{k} {v}" for k, v in self.machine.items()), ""]
        for connections, found in self.cpu.items():
            parts += [
                f"## {connections} connections",
                "",
                f"| {' | '.join(HEADS)} |",
                f"|{'---|' * len(HEADS)}",
                *(_row(name, seen, found.get("farebox")) for name, seen in found.items()),
                "",
            ]
        parts += [f"- {name}: {value}" for name, value in self.figures.items()]
        parts += [
            f"- {name}: {served:,} requests reached the backend, {units:,} units charged at 1 each"
            for name, (served, units) in self.charged.items()
        ]
        parts += [f"- not measured: {reason}" for reason in self.missing]
        return "\n".join(parts) + "\n"

    def save(self, folder: Path) -> Path:
        """Write the three files of this run; a second one on the same day replaces them."""
        folder.mkdir(exist_ok=True)
        file = folder / f"{datetime.now(UTC).date().isoformat()}.md"
        file.write_text(self.markdown(), "utf-8")
        found = {
            str(connections): {name: vars(seen) | {"loads": None} for name, seen in peers.items()}
            for connections, peers in self.cpu.items()
        }
        kept = {"machine": self.machine, "cpu": found, "figures": self.figures}
        file.with_suffix(".json").write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
        first = next(iter(self.cpu.values()), None)
        if first is not None:
            values = {name: seen.us_per_request for name, seen in first.items()}
            file.with_suffix(".svg").write_text(bars("CPU µs per request", values), "utf-8")
        return file


def _lines(found: dict[str, Rounds]) -> list[str]:
    lines = []
    for name, seen in found.items():
        others = "".join(f", {other} {seen.other(other):.1f}" for other in seen.others_us)
        lines.append(
            f"  {name:<10}{seen.us_per_request:>9.1f} us/request{others}"
            f"  (rounds {_rounds(seen)}; median {seen.median_s * 1e3:.2f} ms,"
            f" p99 {seen.p99_s * 1e3:.1f} ms; {seen.requests:,} requests, {seen.errors} errors)"
        )
    return lines


def _row(name: str, seen: Rounds, ours: Rounds | None) -> str:
    ratio = "" if ours in (None, seen) else f"{ours.us_per_request / seen.us_per_request:.2f} x"
    must = f"≤ {MUST[name]:.2f} x" if name in MUST else ""
    others = "".join(f", {other} {seen.other(other):.1f}" for other in seen.others_us)
    return (
        f"| {name} | {seen.us_per_request:.1f}{others} | {_rounds(seen)} | {ratio} | {must}"
        f" | {seen.median_s * 1e3:.2f} ms | {seen.p99_s * 1e3:.1f} ms"
        f" | {seen.requests:,} | {seen.errors} |"
    )


def _rounds(seen: Rounds) -> str:
    return " ".join(f"{us:.1f}" for us in seen.us)
