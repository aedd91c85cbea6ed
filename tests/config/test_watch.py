from pathlib import Path

import pytest

from config import PriceFileError, PriceWatch, read_price_file


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "farebox.yaml"
    path.write_text("one")
    return path


def test_a_change_is_told_once_when_two_looks_agree(path: Path) -> None:
    watch = PriceWatch(path, Clock(), current="one")
    assert watch.poll() is None
    path.write_text("two")
    assert [watch.poll() for _ in range(3)] == [None, "two", None]


def test_a_file_that_is_still_being_written_is_waited_for(path: Path) -> None:
    watch = PriceWatch(path, Clock(), current="one")
    told = []
    for text in ("t", "tw", "two", "two"):
        path.write_text(text)
        told.append(watch.poll())
    assert told == [None, None, None, "two"]


def test_looks_too_close_together_do_not_count_as_two(path: Path) -> None:
    clock = Clock()
    watch = PriceWatch(path, clock)
    clock.monotonic = lambda: 5.0  # type: ignore[method-assign]
    assert [watch.poll(), watch.poll()] == [None, None]


def test_a_renamed_file_and_a_swapped_link_are_just_new_content(tmp_path: Path) -> None:
    """A mounted config map is a link to a folder that is replaced."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "farebox.yaml").write_text(name)
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "a")
    watch = PriceWatch(link / "farebox.yaml", Clock(), current="a")
    swapped = tmp_path / "data_tmp"
    swapped.symlink_to(tmp_path / "b")
    swapped.replace(link)
    assert [watch.poll(), watch.poll()] == [None, "b"]
    fresh = tmp_path / "fresh"
    fresh.write_text("c")
    fresh.replace(tmp_path / "b" / "farebox.yaml")
    assert [watch.poll(), watch.poll()] == [None, "c"]


def test_a_touched_file_is_no_news(path: Path) -> None:
    watch = PriceWatch(path, Clock(), current="one")
    path.touch()
    assert [watch.poll(), watch.poll()] == [None, None]


def test_a_change_that_is_taken_back_is_no_news(path: Path) -> None:
    watch = PriceWatch(path, Clock(), current="one")
    path.write_text("two")
    watch.poll()
    path.write_text("one")
    assert [watch.poll(), watch.poll()] == [None, None]


def test_a_missing_file_is_trouble_and_no_news(path: Path) -> None:
    watch = PriceWatch(path, Clock(), current="one")
    path.unlink()
    assert watch.poll() is None
    assert watch.trouble is not None
    path.write_text("one")
    assert watch.poll() is None
    assert watch.trouble is None


def test_a_file_that_is_not_utf_8_is_trouble(path: Path) -> None:
    watch = PriceWatch(path, Clock(), current="one")
    path.write_bytes(b"\xff")
    assert [watch.poll(), watch.poll()] == [None, None]
    assert watch.trouble is not None


def test_reading_says_where_a_file_is_not_utf_8(path: Path) -> None:
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(PriceFileError) as refused:
        read_price_file(path)
    assert (refused.value.problems[0].line, refused.value.problems[0].column) == (2, 4)


def test_reading_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match="farebox init"):
        read_price_file(tmp_path / "none.yaml")
