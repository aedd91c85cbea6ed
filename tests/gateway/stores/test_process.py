"""Folders of sockets are short, private, and do not pile up."""

import os
import time
from pathlib import Path

import pytest

from gateway.stores import process


def test_empty_folders_of_those_who_were_killed_go_with_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SHORT_PATH", tmp_path)
    left, young, used, other = (tmp_path / name for name in ("fbx-1", "fbx-2", "fbx-3", "else-4"))
    for folder in (left, young, used, other):
        folder.mkdir()
    (used / "redis.sock").touch()
    an_hour_ago = time.time() - 3_600
    for folder in (left, used, other):
        os.utime(folder, (an_hour_ago, an_hour_ago))
    made = process.socket_folder(None)
    assert made.stat().st_mode & 0o777 == 0o700
    assert {folder.name for folder in tmp_path.iterdir()} == {
        *("fbx-2", "fbx-3", "else-4"),
        made.name,
    }
