"""What is a key, and which requests are the same."""

from dataclasses import asdict, dataclass, replace

import pytest

from gateway.idempotency.key import fingerprint, key_hash, read_key
from gateway.problems import Problem


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b'"8e03978e-40d5"', b"8e03978e-40d5"),
        (b"8e03978e-40d5", b"8e03978e-40d5"),
        (b' "a" ', b"a"),
        (rb'"a\"b\\c"', rb'a"b\c'),
        (b"~!#$%&'()*+,-./:;<=>?@[]^_`{|}", b"~!#$%&'()*+,-./:;<=>?@[]^_`{|}"),
        (b'a"b', b'a"b'),
        (b"x" * 255, b"x" * 255),
        (b'"%b"' % (b"x" * 255), b"x" * 255),
    ],
)
def test_a_string_of_a_structured_field_and_a_bare_token_are_keys(value: bytes, key: bytes) -> None:
    assert read_key(value) == key


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'""',
        b'"',
        b'"open',
        b'"a" "b"',
        b'"a", "b"',
        b"a, b",
        b"a b",
        b'"a b"',
        rb'"a\b"',
        b'"a";p=1',
        b"a\tb",
        b"a\x7f",
        b"\x80",
        "schlüssel".encode(),
        b"x" * 256,
        b'"%b"' % (b"x" * 256),
    ],
)
def test_all_else_is_refused_with_a_sentence_that_says_what_to_send(value: bytes) -> None:
    with pytest.raises(Problem) as refused:
        read_key(value)
    assert (refused.value.status, refused.value.name) == (400, "idempotency-key-invalid")
    assert "1 to 255 visible ASCII" in refused.value.detail


@dataclass(frozen=True)
class Asked:
    method: bytes = b"POST"
    route: str = "chat"
    path: bytes = b"/v1/chat"
    query: bytes = b"a=1"
    body: bytes = b"{}"


@pytest.mark.parametrize(
    "other",
    [
        Asked(method=b"PUT"),
        Asked(route="talk"),
        Asked(path=b"/v1/cha"),
        Asked(query=b"a=2"),
        Asked(query=b""),
        Asked(body=b"{ }"),
        replace(Asked(), path=b"/v1/chata", query=b"=1"),
    ],
)
def test_requests_are_the_same_only_in_every_part(other: Asked) -> None:
    same = fingerprint(**asdict(Asked()))
    assert same == fingerprint(**asdict(Asked()))
    assert len(same) == 16
    assert fingerprint(**asdict(other)) != same


def test_of_a_key_only_its_hash_goes_on() -> None:
    assert len(key_hash(b"x" * 255)) == 16
    assert key_hash(b"a") != key_hash(b"b")
