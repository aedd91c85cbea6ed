"""
Start a store so that it dies with its parent, and not as root where it refuses to be root.

Run by path with `python -I -S launcher.py SIGNAL USER -- PROGRAM ARGUMENT...`; it replaces itself
with PROGRAM, so the process id stays. SIGNAL is what the kernel sends when the parent
dies, however it dies (Linux only; elsewhere a killed parent leaves the store running).
USER is an existing unprivileged user, or `-` to stay who we are.

Postgres refuses to run as root. The folder it works in may lie below one that only root may
enter (a `mktemp -d` is 0700), and no folder's mode is ours to change, so the unprivileged
process keeps one capability, CAP_DAC_OVERRIDE, as an ambient one (capabilities(7)). It is to count
in access(2) too, with which initdb looks at its programs: for a user who is not root the kernel
leaves capabilities out there unless the securebit NO_SETUID_FIXUP is set.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def main() -> None:
    """Drop root, tie the process to its parent, become the program."""
    signal, user, _, *command = sys.argv[1:]
    parent = os.getppid()
    if user != "-":
        become(user)
    if sys.platform == "linux":
        # After the change of user, which clears it (prctl(2)).
        _prctl(PR_SET_PDEATHSIG, int(signal))
        if os.getppid() != parent:
            sys.exit("the parent died before the store was started")
    os.execv(command[0], command)  # noqa: S606 - no shell; the command is our own


def become(user: str) -> None:
    """Change to `user` for good, keeping the right to enter folders closed to others."""
    entry = pwd.getpwnam(user)
    keep = sys.platform == "linux"
    if keep:
        ctypes.CDLL(None).prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
        _prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if keep:
        _keep_dac_override()


def _keep_dac_override() -> None:
    """
    Keep the one capability across exec, and no other; where the kernel says no, go on without.

    A container may have taken it from root; the store then fails with a plain message
    if the folder really is out of reach.
    """
    bit = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(ctypes.byref(header), ctypes.byref(sets)) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    main()
