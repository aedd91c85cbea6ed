import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import BadPath, canonical_path

PIECES = st.sampled_from(
    [
        b"/", b"a", b"%61", b"%2e", b".", b"..", b"%2F", b"%2f", b";", b"%25", b"[", b"%c3%a9", b"%20", b"\\", b"%5c",
        b"%00", b"%zz", b"%c0%ae", b"~", b"-", b"*", b"|", b"\x00", b"\xc3", b"%3B", b"%",
    ]
)  # fmt: skip
RAW = st.builds(lambda pieces: b"/" + b"".join(pieces), st.lists(PIECES, max_size=8))


@pytest.mark.parametrize(
    "raw",
    [
        b"/cheap/../costly", b"/cheap/./x", b"/cheap/%2e%2e/costly", b"/cheap/.%2e", b"/%2e%2e%2fx",
        b"/x/..;/admin", b"/x/..%3b/admin", b"/a/..%2Fb", b"/..", b"/.", b"/a/%2E", b"/.;x",
        b"//evil.example/x", b"//costly", b"/costly//", b"/\\evil", b"/%5cevil", b"/%5Cevil",
        b"/%c0%ae", b"/%ff", b"/%00", b"/a%0ab", b"/%7f", b"/%zz", b"/%", b"/%4", b"/a b", b"/\xc3\xa9",
        b"/a\nb", b"", b"*", b"a", b"http://x/", b"/a#b", b"/a?b",
    ],
)  # fmt: skip
def test_a_path_that_two_parsers_could_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(BadPath):
        canonical_path(raw)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"/", b"/"), (b"/a/", b"/a/"), (b"/%61", b"/a"), (b"/%7Eu", b"/~u"), (b"/a%2fb", b"/a%2Fb"),
        (b"/a[1]", b"/a%5B1%5D"), (b"/%c3%a9", b"/%C3%A9"), (b"/...", b"/..."), (b"/.well-known", b"/.well-known"),
        (b"/a.b/c;d=1", b"/a.b/c;d=1"), (b"/%252e", b"/%252e"), (b"/a|b", b"/a%7Cb"), (b"/COSTLY", b"/COSTLY"),
    ],
)  # fmt: skip
def test_a_path_has_one_spelling(raw: bytes, canonical: bytes) -> None:
    assert canonical_path(raw) == canonical


@given(RAW | st.binary(max_size=20).map(lambda raw: b"/" + raw))
def test_a_canonical_path_stays_and_has_no_dot_or_empty_segment(raw: bytes) -> None:
    try:
        canonical = canonical_path(raw)
    except BadPath:
        return
    assert canonical_path(canonical) == canonical
    assert canonical.startswith(b"/")
    assert b"//" not in canonical
    segments = canonical.replace(b"%2F", b"/").replace(b"%3B", b";").split(b"/")
    assert not {b".", b".."} & {segment.split(b";")[0] for segment in segments}
    assert canonical.isascii()
