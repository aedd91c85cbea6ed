"""httpbin as a server of its own, and its operations as an OpenAPI document."""

import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

SAMPLES = {"codes": "200", "delay": "0", "qop": "auth", "algorithm": "MD5", "stale_after": "never"}
"""What stands for a placeholder where `1` would not do."""


@contextmanager
def httpbin_server(folder: Path) -> Iterator[str]:
    """Run httpbin under gunicorn's threads; gives its address."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        (folder / "httpbin.log").open("wb") as log,
    ):
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--threads", "8"),
                *("--bind", f"fd://{listening.fileno()}", "httpbin:app"),
            ],
            pass_fds=[listening.fileno()],
            env={**os.environ, "HOME": str(folder)},  # it keeps a socket in the home directory
            stdout=log,
            stderr=log,
        )
        try:
            # What is asked before it is up waits in the socket's queue.
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def httpbin_document() -> dict[str, Any]:
    """
    Describe httpbin as Swagger 2.0: its own descriptions, below each function.

    It does so itself where flasgger is installed, which is no dependency of ours.
    """
    logging.disable(logging.WARNING)
    try:
        from httpbin.core import app  # it warns of what is not installed
    finally:
        logging.disable(logging.NOTSET)
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static":
            continue
        summary, _, described = (app.view_functions[rule.endpoint].__doc__ or "").partition("---")
        operation = {
            key: value
            for key, value in (yaml.safe_load(described) or {}).items()
            if key in {"tags", "parameters", "produces", "responses"}
        }
        template = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            made = {"summary": summary.strip().partition("\n")[0], **operation}
            paths.setdefault(template, {})[method.lower()] = made
    return {
        "swagger": "2.0",
        "info": {"title": "httpbin.org", "version": "0.9.2"},
        "host": "httpbin.org",
        "basePath": "/",
        "schemes": ["https"],
        "paths": paths,
    }


def sample_requests(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Give a method and a path for each operation that a gateway serves."""

    def sample(found: re.Match[str]) -> str:
        return SAMPLES.get(found[1], "1")

    return [
        (method.upper(), re.sub(r"\{(\w+)\}", sample, template))
        for template, item in document["paths"].items()
        for method in item
        if method != "trace"
    ]
