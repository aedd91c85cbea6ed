"""gateway/cli.py: what every command has in common."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.commands.group import farebox, run


@pytest.mark.parametrize(
    "words",
    [
        ("unheard-of",),
        ("account",),
        ("account", "unheard-of"),
        ("account", "create", "--colour", "red"),
        ("grant", "acme"),
        ("account", "list", "--limit", "0"),
        ("account", "list", "--postgres-url", "mysql://x"),
    ],
)
def test_wrong_use_is_exit_code_2_and_says_where_to_look(words, capsys) -> None:
    assert run(words) == 2

    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err


def test_every_command_explains_itself(capsys) -> None:
    def leaves(group, words=()):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from leaves(command, (*words, name))
            else:
                yield (*words, name)

    found = list(leaves(farebox))
    for words in found:
        assert run([*words, "--help"]) == 0
        assert len(capsys.readouterr().out.splitlines()) > 3

    assert {" ".join(words) for words in found} == {
        "account create", "account freeze", "account list", "account release", "account show", "account sign-in",
        "account thaw",
        "admin create", "admin list", "admin revoke", "adjust", "backup", "check", "demo", "diff",
        "fact list", "fact resolve", "fact show", "finding list", "finding resolve", "finding show", "grant", "grants import", "heads", "init",
        "import", "key caps", "key create", "key list", "key rename", "key revoke", "key rotate", "migrate", "observed",
        "package create", "package hide", "package list", "package show", "package unhide",
        "package update", "prices list", "prices publish",
        "prices rollback", "prices show", "quote", "rebuild", "reconcile", "refund", "replay", "serve",
        "stripe reconcile", "stripe refund", "stripe settle", "stripe setup", "stripe sync", "verify",
    }  # fmt: skip


def test_a_command_loads_only_what_it_needs() -> None:
    look = (
        "import sys\n"
        "from gateway.commands.group import run\n"
        "run(['--version'])\n"
        "print(sorted(name for name in sys.modules if name.startswith('gateway.commands.')))"
    )
    told = subprocess.run(
        [sys.executable, "-P", "-c", look], capture_output=True, text=True, check=True
    )
    loaded = told.stdout.splitlines()[-1]
    assert loaded == str([f"gateway.commands.{name}" for name in ("failed", "group", "options")])


def test_the_version_is_told(capsys) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("farebox")


def test_modules_of_the_current_folder_are_never_imported(tmp_path: Path) -> None:
    for name in ("billing", "config", "click"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    program = Path(sys.executable).with_name("farebox")
    command = [str(program)] if program.exists() else [
        sys.executable, "-P", "-c", "from gateway.cli import main; main()",
    ]  # fmt: skip
    env = os.environ | ({} if program.exists() else {"PYTHONPATH": str(Path(__file__).parents[2])})

    done = subprocess.run(
        [*command, "--version"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
