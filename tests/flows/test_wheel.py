"""The wheel works in an environment of its own, whatever folder it is used from."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PRICES = """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9000" } }
routes: [{ path: /x, upstream: api, price: 1 }]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and, without any network, the locked dependencies."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    library = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run(
        [*install, "--disable-pip-version-check", wheel], check=True, capture_output=True
    )
    # Our own packages come from the wheel: what is in the environment itself goes first.
    (library / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of somebody else's project, with names like ours."""
    (tmp_path / "config.py").write_text("raise SystemExit('a foreign config was imported')\n")
    (tmp_path / "billing").mkdir()
    (tmp_path / "billing" / "__init__.py").write_text("raise SystemExit('foreign billing')\n")
    (tmp_path / "farebox.yaml").write_text(PRICES)
    return tmp_path


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def run(
    home: Path, *arguments: str, folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [home / "bin" / "farebox", *arguments],
        cwd=folder,
        env={**clean_environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_checks_a_price_file_from_a_folder_with_its_own_config_and_billing(
    installed: Path, foreign: Path
) -> None:
    done = run(installed, "check", "farebox.yaml", folder=foreign)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_runs_what_was_installed_and_not_this_checkout(installed: Path, foreign: Path) -> None:
    where = subprocess.run(
        [installed / "bin" / "python", "-P", "-c", "import gateway; print(gateway.__file__)"],
        cwd=foreign,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert Path(where.strip()).is_relative_to(installed)


def test_a_foreign_config_on_the_path_is_named_instead_of_half_imported(
    installed: Path, foreign: Path
) -> None:
    done = run(installed, "check", "farebox.yaml", folder=foreign, PYTHONPATH=str(foreign))
    assert done.returncode == 2
    assert "another package named `config`" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_holds_the_four_packages_with_their_sql_and_lua_and_no_tests(wheel: Path) -> None:
    names = [Path(name) for name in zipfile.ZipFile(wheel).namelist()]
    tops = {name.parts[0] for name in names if not name.parts[0].endswith(".dist-info")}
    assert tops == {"billing", "config", "gateway", "ledger"}
    for suffix in (".sql", ".lua", ".yaml", ".py", ".html", ".css", ".js", ".svg"):
        shipped = {name for name in names if name.suffix == suffix}
        ours = {
            path.relative_to(ROOT)
            for top in tops
            for path in (ROOT / top).rglob(f"*{suffix}")
            if "__pycache__" not in path.parts
        }
        assert ours - shipped == set(), suffix
    assert any(name.name == "LICENSE" for name in names)
