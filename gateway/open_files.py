"""Room for connections: each is a file to the kernel, which allows a process only so many."""

import logging
import resource

BESIDE_CLIENTS = 2_048
"""Connections to upstreams, stores and the log; more upstreams than that are rarely in use."""

_log = logging.getLogger(__name__)


def make_room(connections: int) -> None:
    """Raise this process's own limit for so many clients; say so where the system allows less."""
    wanted = connections + BESIDE_CLIENTS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _log.warning(
            "%d files may be open, and %d connections may need %d:"
            " raise the limit (ulimit -n) or lower FAREBOX_CONNECTIONS",
            allowed,
            connections,
            wanted,
        )
