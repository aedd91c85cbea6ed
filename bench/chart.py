"""A bar chart as SVG that reads in light and dark, with its figures as text."""

from html import escape
from math import log10

WIDTH, ROW, LEFT, RIGHT = 720, 34, 120, 90

STYLE = """<style>
text { fill: #222 } .us { fill: #0b6e4f } .them { fill: #9aa5b1 }
@media (prefers-color-scheme: dark) {
  text { fill: #eee } .us { fill: #4cc9a0 } .them { fill: #66727f }
}
</style>"""


def bars(title: str, values: dict[str, float]) -> str:
    """Draw one bar per value on a logarithmic scale: the slowest is a hundred times the fastest."""
    least, most = min(values.values()), max(values.values())
    low, high = log10(least) - 0.5, log10(most)
    height = ROW * (len(values) + 1) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        f'  aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="14">',
        STYLE,
        f'<text x="0" y="20" font-weight="600">{escape(title)} (logarithmic)</text>',
    ]
    for number, (name, value) in enumerate(values.items(), 1):
        top = ROW * number
        width = (log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        kind = "us" if name == "farebox" else "them"
        parts += [
            f'<text x="0" y="{top + 18}">{escape(name)}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{top + 2}" width="{width:.0f}" height="22"/>',
            f'<text x="{LEFT + width + 8:.0f}" y="{top + 18}">{value:,.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
