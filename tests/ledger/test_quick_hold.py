"""A hold's line that is written once: it is the one that would be written anew each time."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.facts import MAX_AMOUNT
from ledger.hold_order import HoldOrder, line_of
from ledger.limits import Limit, limits_block, window_id
from ledger.lines import SCOPE_CALL
from ledger.quick_hold import QuickHold

ORDERS = st.builds(
    HoldOrder,
    account=st.integers(1, 2**40),
    key=st.integers(1, 2**40),
    credit_type=st.integers(1, 9),
    ceiling=st.integers(1, MAX_AMOUNT),
    version=st.integers(1, 9),
    rule=st.integers(0, 999),
    lifetime_ms=st.integers(10_000, 3_600_000),
    rate=st.sampled_from([(0, 0), (1_000, 5_000)]),
    detail=st.sampled_from([b"", b'{"r":{"a":"b"}}']),
    limits=st.sampled_from(
        [b"", limits_block([Limit("a", b"\0\0\0\0", window_id("Q", "day"), "Q", 9)], 1)]
    ),
    route=st.sampled_from(["/ok", "/other"]),
    plan=st.sampled_from([None, 0, 7]),
    scope=st.just(SCOPE_CALL),
    claim=st.none(),
)


class Reaches:
    """Which credits are limited to routes, as far as that is known."""

    known = 0

    def block(self, route: str, epoch: int) -> bytes:
        return b"%b in %d, %d known" % (route.encode(), epoch, self.known)


@settings(max_examples=200)
@given(
    ORDERS,
    st.lists(
        st.tuples(
            st.binary(min_size=12, max_size=12),
            st.integers(1, 2**47),
            st.integers(1, 3),
            st.integers(0, 2),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_each_line_is_that_of_its_order(
    order: HoldOrder, asked: list[tuple[bytes, int, int, int]]
) -> None:
    """In every epoch, and with the reaches that are known at the moment."""
    quick, reaches = QuickHold(order), Reaches()
    for hold_id, deadline_ms, epoch, known in asked:
        reaches.known = known
        block = reaches.block(order.route, epoch) if known else b""
        line = quick.line(reaches, epoch, hold_id, deadline_ms)  # type: ignore[arg-type]
        assert line == line_of(order, hold_id, deadline_ms, reaches=block)
        assert quick.known == known


@pytest.mark.parametrize(
    "change", [{"ceiling": 0}, {"ceiling": MAX_AMOUNT + 1}, {"claim": (None, None)}]
)
def test_what_cannot_be_asked_for_in_one_step_is_refused(change: dict[str, Any]) -> None:
    order = HoldOrder(1, 1, 1, 5, 1, 1, 10_000)._replace(**change)
    with pytest.raises(ValueError, match="in one step"):
        QuickHold(order)
