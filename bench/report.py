"""What a run has found: as text, as a Markdown table, as JSON and as a chart."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.chart import Share, chart
from bench.found import Found, Table
from bench.targets import TARGETS

BEGIN, END = "<!-- bench -->", "<!-- end of bench -->"
TARGET_HEADS = ("figure", "here", "must", "", "aim", "")


@dataclass
class Report:
    """
    One run.

    machine: what it was taken on, and the versions of all that took part.
    rows: what each row found, by its name.
    missing: what was not measured, and why.
    """

    machine: dict[str, str]
    rows: dict[str, Found] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    day: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())

    @property
    def figures(self) -> dict[str, float]:
        """All figures that have targets, by name."""
        return {
            name: value for found in self.rows.values() for name, value in found.figures.items()
        }

    @property
    def is_right(self) -> bool:
        """Whether everything that was counted adds up."""
        return all(count.right for found in self.rows.values() for count in found.counts)

    def targets(self) -> Table:
        """Each figure beside what it must be and aims at."""
        table = Table("Targets", TARGET_HEADS)
        figures = self.figures
        for target in TARGETS:
            value = figures.get(target.name)
            must, aim = target.verdict(value)
            table.lines.append(
                (
                    target.what,
                    "" if value is None else target.shown(value),
                    f"{target.sign} {target.shown(target.must)}",
                    must,
                    f"{target.sign} {target.shown(target.aim)}",
                    aim,
                )
            )
        return table

    def text(self) -> str:
        parts = [f"{name}: {value}" for name, value in self.machine.items()]
        for found in self.rows.values():
            parts += ["", found.said]
            for table in found.tables:
                parts += ["", table.title, *table.text()]
            parts += [f"  {note}" for note in found.notes]
            parts += [f"  {count}" for count in found.counts]
        parts += ["", *self.targets().text(), ""]
        parts += [f"not measured: {reason}" for reason in self.missing]
        return "\n".join(parts)

    def markdown(self) -> str:
        """The whole run; the chart stands beside it under the same name."""
        parts = [f"# {self.day}", "", self.summary(), "", f"![The run as a chart]({self.day}.svg)"]
        for found in self.rows.values():
            parts += ["", f"## {found.tables[0].title}" if found.tables else "##", "", found.said]
            for number, table in enumerate(found.tables):
                title = [f"### {table.title}", ""] if number else []
                parts += ["", *title, *table.markdown()]
            told = [*found.notes, *map(str, found.counts)]
            parts += ["", *(f"- {line}" for line in told)]
        return "\n".join(parts) + "\n"

    def summary(self) -> str:
        """The table of targets with the machine: what documents show."""
        lines = [*self.targets().markdown(), ""]
        lines.append("; ".join(f"{name} {value}" for name, value in self.machine.items()) + ".")
        lines += [f"Not measured: {reason}." for reason in self.missing]
        return "\n".join(lines)

    def chart(self) -> str:
        """CPU per request of the peers, and every figure as a share of what it may be."""
        shown = next((found.shown for found in self.rows.values() if found.shown), {})
        figures = self.figures
        shares = [
            Share(target.what, target.share(value), target.shown(value))
            for target in TARGETS
            if (value := figures.get(target.name)) is not None
        ]
        return chart("CPU µs per request", shown, shares)

    def save(self, folder: Path) -> Path:
        """Write the three files of this run; a second one on the same day replaces them."""
        folder.mkdir(exist_ok=True)
        file = folder / f"{self.day}.md"
        file.write_text(self.markdown(), "utf-8")
        file.with_suffix(".json").write_text(self.json(), "utf-8")
        file.with_suffix(".svg").write_text(self.chart(), "utf-8")
        return file

    def json(self) -> str:
        kept = asdict(self) | {"figures": self.figures}
        return json.dumps(kept, indent=1, ensure_ascii=False) + "\n"


def newest(folder: Path) -> Path | None:
    """Return the Markdown of the last run that was kept."""
    return max(folder.glob("????-??-??.md"), default=None)


def summary_of(markdown: str) -> str:
    """Take the summary out of a kept run."""
    return markdown.split("\n", 2)[2].partition("\n![")[0].strip()


def in_document(text: str, summary: str) -> str:
    """
    Put a summary between the marks of a document.

    Raises:
        ValueError: It has no such marks.

    """
    before, found, rest = text.partition(BEGIN)
    if not found or END not in rest:
        raise ValueError(f"the document lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{summary}\n{END}{rest.partition(END)[2]}"


def write_into(documents: Iterable[Path], folder: Path) -> str:
    """Bring the newest run into these documents; say what was done."""
    kept = newest(folder)
    if kept is None:
        return f"no run is kept in {folder}: make bench"
    summary = summary_of(kept.read_text("utf-8"))
    for document in documents:
        document.write_text(in_document(document.read_text("utf-8"), summary), "utf-8")
    return f"{kept.stem}: {', '.join(map(str, documents))}"
