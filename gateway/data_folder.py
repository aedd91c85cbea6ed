"""
The data folder: used by one `serve` (or one command) at a time, and found by the others.

    serve.lock       held, by flock, while any process uses the folder's stores; never removed
    run.json         where the running gateway and its stores are; only true while the lock is held
    admin-token      the token of the admin named root, where the environment gave none
    head-key         signs heads, where the environment names no key; heads.jsonl has them
    postgres/ redis/ the embedded stores

The files name addresses and secrets, so the folder is 0700 and they are 0600.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

TOKEN_PREFIX = "fba_"  # noqa: S105 - what every admin's token begins with

LEFTOVER_LIMIT_S = 45
"""How long children of a killed `serve` may drain (30 s) and stop their stores."""

POLL_S = 0.1


class FolderInUse(Exception):
    """Another process uses the folder; the sentence says which and what to do. Nothing changed."""


@dataclass(frozen=True, slots=True)
class Running:
    """What a running gateway tells the commands beside it."""

    pid: int
    gateway: str
    public_url: str
    admin_url: str
    postgres_url: str
    redis_url: str
    config: str = ""
    """Its price file."""


class DataFolder:
    """One data folder."""

    def __init__(self, path: Path) -> None:
        """Say where it is; it is made when first locked."""
        self.path = path.absolute()
        self._lock = self.path / "serve.lock"
        self._run = self.path / "run.json"

    @contextmanager
    def locked(self, wait_s: float = LEFTOVER_LIMIT_S) -> Iterator[int]:
        """
        Use the folder alone for as long as the block runs; yields the lock's descriptor.

        A child that inherits the descriptor keeps the lock after we are gone, so a folder
        is free only when the last process that touches its stores has ended. What a killed
        `serve` left behind is waited for, at most `wait_s`.

        Raises:
            FolderInUse: A living process has it.

        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take(descriptor, wait_s)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            self._run.unlink(missing_ok=True)
            try:
                yield descriptor
            finally:
                self._run.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def publish(self, running: Running) -> None:
        """Write `run.json`, whole or not at all."""
        self._write("run.json", json.dumps(asdict(running), indent=1) + "\n")

    def running(self) -> Running | None:
        """Return what runs in the folder, or None where nothing does."""
        try:
            text = self._run.read_text()
            descriptor = os.open(self._lock, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            running = Running(**json.loads(text))
            return running if _alive(running.pid) else None
        finally:
            os.close(descriptor)
        return None

    def secret(self, name: str) -> tuple[str, Path] | None:
        """Return a secret kept here and where it is, or None."""
        path = self.path / name
        try:
            return path.read_text().strip(), path
        except FileNotFoundError:
            return None

    def keep_secret(self, name: str, value: str) -> Path:
        """Keep a secret, readable by its owner only; one of that name is replaced."""
        return self._write(name, value + "\n")

    def admin_token(self) -> tuple[str, Path]:
        """Return the token of the admin named root, made at the first call."""
        kept = self.secret("admin-token")
        if kept is not None:
            return kept
        token = TOKEN_PREFIX + secrets.token_hex(32)
        return token, self.keep_secret("admin-token", token)

    def append(self, name: str, line: str) -> Path:
        """Add a line to a file that only its owner can read; it is on disk on return."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.path / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, f"{line}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path

    def _take(self, descriptor: int, wait_s: float) -> None:
        limit = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = int(os.pread(descriptor, 20, 0) or 0)
                if holder and _alive(holder):
                    raise FolderInUse(
                        f"farebox (process {holder}) already uses {self.path}: "
                        "stop it first, or choose another folder with --data"
                    ) from None
                if time.monotonic() > limit:
                    raise FolderInUse(
                        f"processes of a farebox that was killed still use {self.path}: "
                        "end them, or choose another folder with --data"
                    ) from None
                time.sleep(POLL_S)
            else:
                return

    def _write(self, name: str, text: str) -> Path:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, draft = self.path / name, self.path / f"{name}.new"
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            file.write(text)
        draft.replace(path)
        return path


def _alive(pid: int) -> bool:
    """Whether a process of that number exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
