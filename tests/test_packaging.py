"""What is shipped: locked dependencies, a licence, files for containers that fit together."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def compose() -> dict[str, dict]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.mark.parametrize("name", ["run", "dev", "pages"])
def test_every_locked_package_has_a_hash(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    packages = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert packages
    assert [line for line in packages if "==" not in line or "--hash=sha256:" not in line] == []


@pytest.mark.parametrize("name", ["run", "dev", "pages"])
def test_a_lock_names_no_address(name: str) -> None:
    assert "://" not in (ROOT / "requirements" / f"{name}.txt").read_text()


def test_the_lock_of_the_browser_tests_has_hashes_and_names_no_address() -> None:
    text = (ROOT / "tests/pages/package-lock.json").read_text()
    packages = [one for name, one in json.loads(text)["packages"].items() if name]
    assert packages
    assert all(one["integrity"].startswith("sha512-") for one in packages)
    assert "://" not in text


def test_every_dependency_is_locked_for_running() -> None:
    locked = set(re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "requirements/run.txt").read_text()))
    wanted = {
        re.split(r"[><=]", text)[0].lower().replace("_", "-")
        for text in PROJECT["project"]["dependencies"]
    }
    assert wanted - locked == set()


def test_the_licence_is_the_whole_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_image_is_built_from_the_locks_and_does_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    installs = [line for line in lines if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]


def test_the_image_is_given_what_it_copies() -> None:
    """`.dockerignore` leaves everything out but what it names."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = [
        name
        for line in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", dockerfile)
        for name in line.split()
    ]
    let_in = re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text())
    assert {name.split("/")[0] for name in copied} == set(let_in)


def test_the_services_name_only_each_other(compose: dict[str, dict]) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert source in compose["volumes"] or (ROOT / source).exists(), mount


def test_the_gateway_finds_its_stores_and_its_backend(compose: dict[str, dict]) -> None:
    services = compose["services"]
    environment = services["gateway"]["environment"]
    assert "@postgres:5432/" in environment["FAREBOX_POSTGRES_URL"]
    assert environment["FAREBOX_REDIS_URL"].startswith("redis://redis:6379")
    assert environment["DEMO_BACKEND"] == "http://backend:9000"
    assert {"postgres", "redis", "backend"} <= set(services)


def test_the_balances_are_kept_and_never_evicted(compose: dict[str, dict]) -> None:
    command = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert compose["services"]["redis"]["volumes"] == ["redis:/data"]


def test_the_admin_listener_is_reachable_from_this_machine_only(compose: dict[str, dict]) -> None:
    gateway = compose["services"]["gateway"]
    assert "127.0.0.1:8001:8001" in gateway["ports"]
    assert gateway["command"][3:5] == ["--admin-host", "0.0.0.0"]


def test_docker_compose_accepts_the_file() -> None:
    docker = shutil.which("docker")
    compose = [docker or "docker", "compose"]
    if (
        not docker
        or subprocess.run([*compose, "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("docker compose is not installed here")
    checked = subprocess.run(
        [*compose, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_make_targets_of_the_readme_are_there() -> None:
    """`make -n` reads the whole file and runs nothing."""
    for target in ("setup", "demo", "test", "check", "test-pages", "lock"):
        done = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("echo 3.9; exit 1", "Farebox needs Python 3.11 or newer"),
        ("case $2 in *ensurepip*) exit 1;; *) echo 3.12;; esac", "apt install python3.12-venv"),
    ],
    ids=["too old", "without venv"],
)
def test_setting_up_names_the_fix_for_a_python_that_will_not_do(
    tmp_path: Path, behaviour: str, sentence: str
) -> None:
    (tmp_path / "requirements").mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements/dev.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{behaviour}\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert sentence in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_continuous_integration_calls_the_readmes_test_command() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text().splitlines()
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in lines
    assert lines.index("make test") < lines.index("make check-code")
