"""How often one address may do what is free."""

from gateway.throttle import MAX_ADDRESSES, PER_S, Throttle
from ledger.ports import SystemClock


class Hand(SystemClock):
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0 * PER_S

    def monotonic(self) -> float:
        return self.now


def test_an_address_may_go_on_until_its_limit() -> None:
    throttle = Throttle(2, clock=Hand())
    throttle.count("a")
    assert throttle.retry_after_s("a") == 0
    throttle.count("a")
    assert throttle.retry_after_s("a") == PER_S
    assert throttle.retry_after_s("b") == 0


def test_the_next_minute_begins_anew() -> None:
    clock = Hand()
    throttle = Throttle(1, clock=clock)
    throttle.count("a")
    clock.now += PER_S
    assert throttle.retry_after_s("a") == 0


def test_many_addresses_do_not_fill_the_memory() -> None:
    throttle = Throttle(1, clock=Hand())
    for number in range(3 * MAX_ADDRESSES):
        throttle.count(str(number))
    assert len(throttle.counts) <= MAX_ADDRESSES + 1
