"""Which headers are believed: the SDK's own, and no other."""

import json

import pytest

from billing.events.signature import MAX_HEADER_CHARACTERS, BadSignature, verify
from tests.billing.inbox_rig import NOW_S, OTHER_SECRET, SECRET, body, signed, snapshot

RAW = body(snapshot())
GOOD = signed(RAW)
V1 = GOOD.partition(",v1=")[2]


def reason_of(header: str | None, raw: bytes = RAW, secrets: tuple[str, ...] = (SECRET,)) -> str:
    with pytest.raises(BadSignature) as refused:
        verify(raw, header, secrets, NOW_S)
    return refused.value.reason


def test_a_genuine_header_is_believed() -> None:
    verify(RAW, GOOD, [SECRET], NOW_S)


def test_a_body_that_is_not_utf_8_can_be_signed_too() -> None:
    import hashlib
    import hmac

    raw = b"\xff\xfe{}"
    mac = hmac.new(SECRET.encode(), f"{NOW_S}.".encode() + raw, hashlib.sha256).hexdigest()
    verify(raw, f"t={NOW_S},v1={mac}", [SECRET], NOW_S)


def test_any_of_several_secrets_may_have_signed() -> None:
    verify(RAW, signed(RAW, OTHER_SECRET), [SECRET, OTHER_SECRET], NOW_S)
    verify(RAW, GOOD, [SECRET, OTHER_SECRET], NOW_S)


@pytest.mark.parametrize("first", [True, False])
def test_of_two_signatures_one_has_to_fit(*, first: bool) -> None:
    """While a secret is rolled, Stripe signs with the old and the new one."""
    values = [V1, "0" * 64] if first else ["0" * 64, V1]
    verify(RAW, f"t={NOW_S},v1={values[0]},v1={values[1]}", [SECRET], NOW_S)


def test_space_after_the_commas_is_no_harm() -> None:
    verify(RAW, GOOD.replace(",", ", "), [SECRET], NOW_S)


@pytest.mark.parametrize("age_s", [300, -300])
def test_a_time_within_the_tolerance_is_believed(age_s: int) -> None:
    verify(RAW, signed(RAW, at_s=NOW_S - age_s), [SECRET], NOW_S)


@pytest.mark.parametrize(("age_s", "reason"), [(301, "too_old"), (-301, "too_new")])
def test_a_time_beyond_the_tolerance_is_refused_both_ways(age_s: int, reason: str) -> None:
    assert reason_of(signed(RAW, at_s=NOW_S - age_s)) == reason


@pytest.mark.parametrize("header", [None, ""])
def test_no_header_is_refused(header: str | None) -> None:
    assert reason_of(header) == "missing"


def test_a_wrong_secret_is_refused() -> None:
    assert reason_of(signed(RAW, "whsec_wrong")) == "mismatch"


@pytest.mark.parametrize("secrets", [(), ("",)])
def test_without_a_secret_nothing_is_believed(secrets: tuple[str, ...]) -> None:
    empty = signed(RAW, "")
    assert reason_of(empty, secrets=secrets) == "mismatch"


def test_a_body_written_anew_is_refused() -> None:
    again = json.dumps(json.loads(RAW)).encode()
    assert reason_of(GOOD, raw=again) == "mismatch"


def test_v0_alone_is_refused() -> None:
    """Stripe's scheme for fake events of its own."""
    assert reason_of(f"t={NOW_S},v0={V1}") == "no_v1"


def test_a_signature_of_the_body_without_the_time_is_refused() -> None:
    import hashlib
    import hmac

    bare = hmac.new(SECRET.encode(), RAW, hashlib.sha256).hexdigest()
    assert reason_of(f"t={NOW_S},v1={bare}") == "mismatch"


def test_a_time_that_was_not_signed_is_refused() -> None:
    assert reason_of(f"t={NOW_S - 1},v1={V1}") == "mismatch"


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW_S},t={NOW_S},v1={V1}",
        f"v1={V1}",
        f"t=,v1={V1}",
        f"t=-1,v1={V1}",
        f"t={NOW_S}.5,v1={V1}",
        f"t=٣,v1={V1}",
        f"t={'9' * 13},v1={V1}",
        f"t={NOW_S},v1=é",
        GOOD + "," * MAX_HEADER_CHARACTERS,
        "nonsense",
    ],
)
def test_a_header_of_another_form_is_refused(header: str) -> None:
    assert reason_of(header) == "malformed"


@pytest.mark.parametrize("value", ["", V1.upper(), V1[:-1], V1 + "0", "not hex"])
def test_a_signature_that_is_nearly_right_is_refused(value: str) -> None:
    assert reason_of(f"t={NOW_S},v1={value}") == "mismatch"


def test_the_error_carries_neither_header_nor_secret_nor_body() -> None:
    with pytest.raises(BadSignature) as refused:
        verify(RAW, GOOD, ["whsec_wrong"], NOW_S)
    assert str(refused.value) == "mismatch"
    assert refused.value.args == ("mismatch",)
