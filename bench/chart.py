"""The chart of a run as SVG that reads in light and dark, with its figures as text."""

from collections.abc import Sequence
from html import escape
from math import log10
from typing import NamedTuple

WIDTH, ROW, LEFT, RIGHT, GAP = 760, 28, 120, 90, 24
WIDE_LEFT = 400
MOST_SHARE = 3.0
"""Longer bars are cut here; their figure stands beside them."""

STYLE = """<style>
text { fill: #222 } .us, .met { fill: #0b6e4f } .them { fill: #9aa5b1 } .missed { fill: #b4442f }
line { stroke: #222; stroke-dasharray: 3 3 } .page { fill: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #eee } .us, .met { fill: #4cc9a0 } .them { fill: #66727f } .missed { fill: #f08a6c }
  line { stroke: #eee } .page { fill: #16191d }
}
</style>"""


class Share(NamedTuple):
    """A figure as a share of what it may be at most: up to 1 its must is met."""

    what: str
    share: float
    shown: str


def chart(title: str, peers: dict[str, float], shares: Sequence[Share]) -> str:
    """Draw CPU per request of the peers, if there are any, and how the figures stand."""
    parts: list[str] = []
    top = 0
    if peers:
        parts += _peers(title, peers)
        top = ROW * (len(peers) + 1) + GAP
    if shares:
        parts += _shares(shares, top)
        top += ROW * (len(shares) + 1)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -4 {WIDTH + 20} {top + 14}"',
            f'  role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif"',
            '  font-size="13">',
            STYLE,
            f'<rect class="page" x="-10" y="-4" width="{WIDTH + 20}" height="{top + 14}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _peers(title: str, values: dict[str, float]) -> list[str]:
    """One bar per peer on a logarithmic scale: the slowest is a hundred times the fastest."""
    low, high = log10(min(values.values())) - 0.5, log10(max(values.values()))
    span = max(high - low, 0.5)
    parts = [_text(0, 18, f"{title} (logarithmic)", ' font-weight="600"')]
    for number, (name, value) in enumerate(values.items(), 1):
        width = (log10(value) - low) / span * (WIDTH - LEFT - RIGHT)
        top = number * ROW
        parts += [
            _text(0, top + 15, name),
            _bar(top, LEFT, width, "us" if name == "farebox" else "them"),
            _text(round(LEFT + width + 8), top + 15, f"{value:,.1f}"),
        ]
    return parts


def _shares(shares: Sequence[Share], top: int) -> list[str]:
    """One bar per figure; the dashed line is what it may be, the figures stand clear of it."""
    room = WIDTH - WIDE_LEFT - RIGHT
    limit = WIDE_LEFT + room / MOST_SHARE
    bottom = top + ROW * (len(shares) + 1) - 4
    title = "Each figure, and the dashed line it must not pass"
    parts = [_text(0, top + 18, title, ' font-weight="600"')]
    for number, one in enumerate(shares, 1):
        width = min(one.share, MOST_SHARE) / MOST_SHARE * room
        line = top + number * ROW
        parts += [
            _text(0, line + 15, one.what),
            _bar(line, WIDE_LEFT, width, "met" if one.share <= 1 else "missed"),
            _text(WIDTH - RIGHT + 8, line + 15, one.shown),
        ]
    return [
        *parts,
        f'<line x1="{limit:.0f}" x2="{limit:.0f}" y1="{top + ROW - 2}" y2="{bottom}"/>',
    ]


def _bar(top: int, left: int, width: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{left}" y="{top + 1}" width="{width:.0f}" height="19"/>'


def _text(left: int, top: int, words: str, more: str = "") -> str:
    return f'<text x="{left}" y="{top}"{more}>{escape(words)}</text>'
