"""
The command line: `farebox`.

Nothing of ours is imported before it is known to be ours: `config` is a common name, and
another package of that name on the path would be imported instead.
"""

import sys

from gateway.startup import foreign_packages

WRONG_USE = 2


def main() -> None:
    """Run the command named on the command line and end the process with its exit code."""
    for sentence in (found := foreign_packages()):
        sys.stderr.write(f"farebox: {sentence}\n")
    if found:
        sys.exit(WRONG_USE)
    from gateway.commands.group import run  # noqa: PLC0415 - not before the look above

    sys.exit(run(sys.argv[1:]))
