"""What can be ordered: a repeat has all in common with the first but words and times."""

from datetime import UTC, datetime

from ledger.control_kinds import (
    CapPut,
    Clawback,
    Control,
    Enter,
    Freeze,
    Grant,
    KeyPut,
    PlanPut,
    Spent,
    request_of,
)

SOON = datetime(2030, 1, 1, tzinfo=UTC)


def test_words_and_times_of_a_repeat_may_differ() -> None:
    grant = Grant(1, 5, description="a gift", reference="g1", metadata={"a": 1})
    assert request_of(grant, 0) == request_of(Grant(1, 5, expires_at=SOON, priority=3), 0)
    clawback = Clawback(1, 5, 7, description="too much", reference="c1")
    assert request_of(clawback, 0) == request_of(Clawback(1, 5, 7), 0)


def test_no_two_changes_are_one_request() -> None:
    changes: list[Control] = [
        *(Grant(1, 5), Grant(2, 5), Grant(1, 6), Grant(1, 5, "promotion")),
        *(Clawback(1, 5), Clawback(2, 5), Clawback(1, 6), Clawback(1, 5, 7)),
        *(Freeze(frozen=True), Freeze(frozen=False), PlanPut(1), PlanPut(2), Enter(1), Enter(2)),
        *(KeyPut(1, 1, active=True), KeyPut(2, 1, active=True), KeyPut(1, 2, active=True)),
        *(KeyPut(1, 1, active=False), KeyPut(1, 1, active=True, expires_ms=9)),
        *(CapPut(1, 1, "day", 5), CapPut(2, 1, "day", 5), CapPut(1, 2, "day", 5)),
        *(CapPut(1, 1, "month", 5), CapPut(1, 1, "day", 6), CapPut(1, 1, "day", None)),
        *(Spent(1, 1, "day", 5, 9), Spent(2, 1, "day", 5, 9), Spent(1, 2, "day", 5, 9)),
        *(Spent(1, 1, "month", 5, 9), Spent(1, 1, "day", 6, 9), Spent(1, 1, "day", 5, 10)),
    ]
    requests = [request_of(change, 0) for change in changes]
    requests += [request_of(Grant(1, 5), reach) for reach in (1, 2)]
    assert len(set(requests)) == len(requests)
