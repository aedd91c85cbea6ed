from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from billing.standin.failures import StripeFailure
from billing.standin.forms import decode

NAMES = st.text("abcdefgh_", min_size=1, max_size=5)
TREES = st.recursive(
    st.text(max_size=8),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(NAMES, inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def as_decoded(value: object) -> object:
    """Lists come back as dicts of positions."""
    if isinstance(value, list):
        return {str(position): as_decoded(item) for position, item in enumerate(value)}
    if isinstance(value, dict):
        return {key: as_decoded(item) for key, item in value.items()}
    return value


@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_what_the_sdk_encodes_is_read_back(tree: dict[str, object]) -> None:
    assert decode(urlencode(list(_api_encode(tree)))) == as_decoded(tree)


def test_a_list_without_positions_is_read_in_its_order() -> None:
    assert decode("expand[]=a&expand[]=b") == {"expand": {"0": "a", "1": "b"}}


@pytest.mark.parametrize("text", ["[a]=1", "a[b=1", "a[b]c=1", "=1", "a=1&a[b]=2", "a%ff=1"])
def test_a_malformed_form_is_refused(text: str) -> None:
    with pytest.raises(StripeFailure) as refused:
        decode(text)
    assert refused.value.status == 400


def test_nesting_has_a_limit() -> None:
    with pytest.raises(StripeFailure):
        decode("a" + "[b]" * 50 + "=1")
