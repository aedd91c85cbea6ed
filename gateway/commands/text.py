"""How commands print rows and facts for people; programs use `--json`."""

from collections.abc import Iterable, Sequence


def columns(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Set rows under titles, each column as wide as its widest cell."""
    table = [titles, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(titles))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Set names and values side by side; what has no value is left out."""
    filled = [row for row in rows if row[1]]
    width = max(len(name) for name, _ in filled)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in filled)
