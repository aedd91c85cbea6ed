"""What is read of an event, and what is no event."""

from datetime import UTC, datetime
from typing import Any

import pytest

from billing.events.event import BadPayload, read_event
from billing.stripe_door import API_VERSION
from tests.billing.inbox_rig import NOW_S, snapshot, thin


def test_a_snapshot_is_read() -> None:
    event = read_event(snapshot("evt_7"))

    assert (event.id, event.type) == ("evt_7", "checkout.session.completed")
    assert (event.object_type, event.object_id) == ("checkout.session", "cs_test_1")
    assert (event.livemode, event.thin, event.stripe_account) == (False, False, "")
    assert event.api_version == API_VERSION
    assert event.created == datetime.fromtimestamp(NOW_S, UTC)


def test_a_thin_event_is_read_alike() -> None:
    event = read_event(thin())

    assert event.thin
    assert (event.object_type, event.object_id) == ("checkout.session", "cs_test_1")
    assert event.created == datetime.fromtimestamp(NOW_S, UTC)
    assert event.api_version == ""


def test_a_connected_account_is_read_in_both_shapes() -> None:
    assert read_event(snapshot(account="acct_2")).stripe_account == "acct_2"
    assert read_event(thin(context="acct_2")).stripe_account == "acct_2"
    assert read_event(thin(context="org_1/acct_2")).stripe_account == "acct_2"


@pytest.mark.parametrize(
    "document",
    [
        [],
        "evt_1",
        None,
        {},
        {"object": "charge"},
        snapshot(object=None),
        snapshot(object=[]),
        snapshot(object="v2.core.event", created=None),
        snapshot(livemode=None),
        snapshot(livemode="false"),
        snapshot(id="cs_1"),
        snapshot(id=""),
        snapshot(id="evt_é"),
        snapshot(id=1),
        snapshot(type=None),
        snapshot(type="a b"),
        snapshot(type="x" * 201),
        snapshot(created=None),
        snapshot(created=True),
        snapshot(created=-1),
        snapshot(created=2**40),
        snapshot(created=float("nan")),
        snapshot(created="yesterday"),
        thin(created="0001-01-01T00:00:00+14:00"),
        snapshot(account=7),
        snapshot(account="acct\x00"),
    ],
)
def test_what_is_no_event_is_refused(document: Any) -> None:
    with pytest.raises(BadPayload):
        read_event(document)
