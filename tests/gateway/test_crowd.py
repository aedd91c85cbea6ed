"""How many connections one caller, and all together, may have."""

from gateway.framing.crowd import Crowd
from gateway.framing.limits import FramingLimits

LIMITS = FramingLimits(connections=10, connections_per_address=3)


def nobody(_address: str) -> bool:
    return False


def entered(crowd: Crowd, address: str) -> str | None:
    refusal = crowd.enter(address, LIMITS, nobody)
    return None if refusal is None else refusal.name


def test_a_caller_has_so_many_and_others_have_their_own() -> None:
    crowd = Crowd()
    assert [entered(crowd, "192.0.2.1") for _ in range(4)] == [None] * 3 + ["too-many-connections"]
    assert entered(crowd, "192.0.2.2") is None


def test_one_network_of_ipv6_is_one_caller() -> None:
    crowd = Crowd()
    said = [entered(crowd, f"2001:db8::{host:x}") for host in range(4)]
    assert said == [None] * 3 + ["too-many-connections"]
    assert entered(crowd, "2001:db8:0:1::1") is None


def test_who_leaves_makes_room_and_is_forgotten() -> None:
    crowd = Crowd()
    for number in range(10):
        entered(crowd, f"192.0.2.{number}")
    assert entered(crowd, "192.0.2.99") == "server-full"
    for number in range(10):
        crowd.leave(f"192.0.2.{number}")
    assert (len(crowd), dict(crowd._by_caller)) == (0, {})
    assert entered(crowd, "192.0.2.99") is None


def test_who_was_refused_is_not_remembered() -> None:
    crowd = Crowd()
    for _ in range(4):
        entered(crowd, "192.0.2.1")
    assert len(crowd) == 3


def test_behind_a_unix_socket_only_all_together_count() -> None:
    crowd = Crowd()
    assert [entered(crowd, "") for _ in range(11)] == [None] * 10 + ["server-full"]
