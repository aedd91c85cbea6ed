"""The data folder: one user at a time, found by the others, secrets for the owner only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.data_folder import DataFolder, FolderInUse, Running

RUNNING = Running(
    pid=os.getpid(),
    gateway="g",
    public_url="http://127.0.0.1:8000",
    admin_url="http://127.0.0.1:8001",
    postgres_url="postgresql://x",
    redis_url="unix:///x",
)


def test_what_runs_is_found_while_it_runs(tmp_path: Path) -> None:
    with DataFolder(tmp_path).locked():
        DataFolder(tmp_path).publish(RUNNING)
        assert DataFolder(tmp_path).running() == RUNNING
    assert DataFolder(tmp_path).running() is None


def test_a_second_user_is_told_who_has_the_folder(tmp_path: Path) -> None:
    with (
        DataFolder(tmp_path).locked(),
        pytest.raises(FolderInUse, match=rf"process {os.getpid()}\) already uses .* --data"),
        DataFolder(tmp_path).locked(),
    ):
        pytest.fail("two users at once")


def test_what_a_killed_user_left_behind_does_not_count(tmp_path: Path) -> None:
    """Its lock went with it; its run.json names addresses that are gone."""
    killed = """
import os, signal, sys
from pathlib import Path
from gateway.data_folder import DataFolder, Running
with DataFolder(Path(sys.argv[1])).locked():
    DataFolder(Path(sys.argv[1])).publish(Running(os.getpid(), "", "", "", "", ""))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    assert (tmp_path / "run.json").exists()
    assert DataFolder(tmp_path).running() is None
    with DataFolder(tmp_path).locked(wait_s=0):
        assert not (tmp_path / "run.json").exists()


def test_the_folder_is_taken_while_a_child_of_a_killed_user_lives(tmp_path: Path) -> None:
    """The child inherited the lock; it may still be settling what was served."""
    killed = """
import os, signal, subprocess, sys
from pathlib import Path
from gateway.data_folder import DataFolder
with DataFolder(Path(sys.argv[1])).locked() as lock:
    child = subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=[lock])
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ours, theirs = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", killed, str(tmp_path)], stdin=ours, stdout=subprocess.PIPE
    )
    with parent:
        parent.wait()
    with (
        pytest.raises(FolderInUse, match="processes of a farebox that was killed"),
        DataFolder(tmp_path).locked(wait_s=0),
    ):
        pytest.fail("two users at once")
    os.close(theirs)
    os.close(ours)
    with DataFolder(tmp_path).locked():  # free once the child has read the end of its input
        pass


def test_the_admin_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    token, path = DataFolder(tmp_path / "data").admin_token()
    assert DataFolder(tmp_path / "data").admin_token() == (token, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert len(token) > 40


def test_a_secret_that_was_not_kept_is_none(tmp_path: Path) -> None:
    assert DataFolder(tmp_path).secret("demo-key") is None
