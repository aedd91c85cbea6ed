"""Reading form bodies and queries as Stripe's libraries write them: `a[b][0][c]=x`."""

import re
from typing import Any
from urllib.parse import parse_qsl

from billing.standin.failures import invalid

MOST_FIELDS = 2_000  # far more than any request of ours; a limit all the same
DEEPEST = 12  # levels of brackets; the SDK's deepest parameter has seven

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> dict[str, Any]:
    """
    Turn a form into nested dicts whose leaves are all text.

    Lists stay dicts with the positions as keys (`{"0": ...}`), because only the type
    of the parameter says whether `a[0]` is a position or a name. `a[]=x` takes the next position.
    """
    try:
        fields = parse_qsl(
            text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise invalid(f"The request body cannot be read: {error}") from error
    tree: dict[str, Any] = {}
    for key, value in fields:
        _put(tree, _parts(key), value, key)
    return tree


def _parts(key: str) -> list[str]:
    found = _KEY.fullmatch(key)
    if found is None:
        raise invalid(f"Invalid parameter name: {key}", param=key)
    parts = [found[1], *_PART.findall(found[2])]
    if len(parts) > DEEPEST:
        raise invalid(f"Parameter is nested too deeply: {key}", param=key)
    return parts


def _put(tree: dict[str, Any], parts: list[str], value: str, key: str) -> None:
    *above, last = parts
    for part in above:
        tree = tree.setdefault(part or str(len(tree)), {})
        if not isinstance(tree, dict):
            raise invalid(f"Parameter is both a value and a hash: {key}", param=key)
    tree[last or str(len(tree))] = value
