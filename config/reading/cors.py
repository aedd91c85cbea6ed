"""Building what `cors` says."""

import re

from config.model import Cors
from config.reading.kinds import Entry, Reading
from config.reading.nodes import Node

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,255}")


def build_cors(value: object, node: Node, reading: Reading) -> Cors:
    """Make what `cors` says; a wrong origin is noted."""
    if not isinstance(value, Entry):
        return Cors(preflights=value == "pass")
    origins: list[str] = value.get("origins")
    for origin in origins:
        if reading.environ is not None and not _ORIGIN.fullmatch(origin):
            hint = "An origin is like https://app.example.com, without a path."
            reading.problems.add(node, "This is not an origin.", hint)
    return Cors(origins=frozenset(origins))
