"""The limit on open files is raised for the connections there may be, in a process of its own."""

import subprocess
import sys

PROGRAM = """
import logging, resource
logging.basicConfig(format="%(message)s")
from gateway.open_files import make_room
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
make_room(1_000)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def after(soft: int, hard: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(soft=soft, hard=hard)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout), done.stderr


def test_the_limit_is_raised_to_what_is_needed() -> None:
    assert after(256, 4_000) == (3_048, "")


def test_a_limit_that_is_high_enough_stays() -> None:
    assert after(3_500, 4_000) == (3_500, "")


def test_where_the_system_allows_less_it_is_said() -> None:
    limit, said = after(256, 512)
    assert limit == 512
    assert "FAREBOX_CONNECTIONS" in said
