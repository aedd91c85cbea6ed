from pathlib import Path

import pytest

from billing.standin.clock import WorldClock
from billing.standin.failures import StripeFailure
from billing.standin.world import World, scheduled

START = 1_800_000_000


@scheduled("test.note")
def note(world: World, name: str) -> None:
    world.put({"id": name, "object": "note", "created": world.now_s()})


@scheduled("test.every_hour")
def every_hour(world: World) -> None:
    note(world, f"hour {world.now_s()}")
    world.later(3_600, "test.every_hour")


def still_world() -> World:
    return World(seed=1, clock=WorldClock(wall=lambda: float(START)))


def test_what_is_due_happens_at_its_moment() -> None:
    world = still_world()
    world.later(20, "test.note", "second")
    world.later(10, "test.note", "first")
    world.advance(100)
    assert [(one["id"], one["created"] - START) for one in world.every("note")] == [
        ("first", 10),
        ("second", 20),
    ]
    assert world.now_s() == START + 100


def test_what_is_due_may_have_more_done_later() -> None:
    world = still_world()
    world.later(0, "test.every_hour")
    world.advance(2 * 3_600)
    assert len(list(world.every("note"))) == 3


def test_what_is_scheduled_survives_saving(tmp_path: Path) -> None:
    world = still_world()
    world.later(10, "test.note", "kept")
    world.save(tmp_path / "state")
    again = still_world()
    again.load(tmp_path / "state")
    again.advance(10)
    assert [one["id"] for one in again.every("note")] == ["kept"]


def test_only_named_actions_can_be_scheduled() -> None:
    with pytest.raises(ValueError, match="no action"):
        still_world().later(1, "test.unknown")


def test_time_is_never_turned_back() -> None:
    with pytest.raises(ValueError, match="never turned back"):
        WorldClock().advance(-1)


def test_the_same_seed_makes_the_same_ids() -> None:
    assert World(seed=5).new_id("cus") == World(seed=5).new_id("cus")
    assert World().new_id("cus") != World().new_id("cus")


def test_what_is_missing_is_refused_as_stripe_words_it() -> None:
    world = still_world()
    with pytest.raises(StripeFailure) as itself:
        world.get("customer", "cus_1")
    with pytest.raises(StripeFailure) as referred_to:
        world.get("customer", "cus_1", "customer")
    assert itself.value.status == 404
    assert (referred_to.value.code, referred_to.value.param) == ("resource_missing", "customer")
    assert referred_to.value.message == "No such customer: 'cus_1'"


def test_an_event_is_a_snapshot_without_private_notes() -> None:
    world = still_world()
    thing = {
        "id": "x",
        "object": "customer",
        "name": "before",
        "_secret": 1,
        "metadata": {"_": "1"},
    }
    event = world.emit("customer.updated", thing, {"name": None})
    thing["name"] = "after"
    assert event["data"] == {
        "object": {"id": "x", "object": "customer", "name": "before", "metadata": {"_": "1"}},
        "previous_attributes": {"name": None},
    }


def test_an_event_of_the_wrong_shape_is_remembered_as_a_bug() -> None:
    world = still_world()
    world.emit("customer.created", {"id": "cus_1", "object": "customer", "livemode": False})
    world.emit("moon.landed", {"id": "cus_1", "object": "customer", "deleted": True})
    assert len(world.bugs) == 2
