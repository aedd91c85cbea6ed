"""`farebox import`, and `farebox check --openapi`: a price file beside the API's own document."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from config import OpenApiError, PriceList, Settings, SettingsError
from config.openapi import (
    Api,
    Comparison,
    Document,
    Imported,
    Unmatched,
    Unserved,
    compare,
    price_file_of,
    read_api,
    read_document,
)
from gateway.commands.failed import CommandFailed
from gateway.commands.options import chosen, json_option

FOUND_WRONG = 1
MOST_BYTES = 128 * 1024 * 1024
"""More than any document that is read has, in any encoding."""

STANDARD = Path("-")
"""Standard input, or standard output."""

DOCUMENT = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.command("import")
@click.argument("document", type=DOCUMENT)
@click.option("--upstream", metavar="URL", help="Where the backend is, if not where it says.")
@click.option("--base-path", metavar="PATH", help="Before each path, if not what its servers say.")
@click.option("--config", "file", type=DOCUMENT, help="The file to write (farebox.yaml); - prints.")
@json_option
def import_openapi(
    document: Path, upstream: str | None, base_path: str | None, file: Path | None
) -> int:
    """Write a first price file from an OpenAPI DOCUMENT (- reads it): all routes, no prices yet."""
    target = _target(file)
    try:
        read, api = _read(document, base_path)
        source = "openapi.json" if document == STANDARD else document.name
        name = "farebox.yaml" if target == STANDARD else target.name
        made = price_file_of(read, api, upstream=upstream, name=name, source=source)
    except OpenApiError as error:
        raise CommandFailed(f"{_named(document)}:{error.problem}", FOUND_WRONG) from error
    if target == STANDARD:
        click.echo(made.text, nl=False)
        return 0
    _write(target, made.text)
    if chosen("as_json"):
        click.echo(json.dumps(_imported(target, api, made), indent=2, ensure_ascii=False))
        return 0
    click.echo(f"{target} is written: {made.routes} routes, none priced yet; all only observe.")
    for sentence in made.skipped:
        click.echo(f"not in it: {sentence}")
    click.echo(f"Next: farebox serve --config {target}, and write prices for `unpriced`.")
    return 0


def compared(price_list: PriceList, document: Path, base_path: str | None) -> Comparison:
    """
    Hold a price list against a document.

    Raises:
        CommandFailed: The document cannot be read.
    """
    try:
        return compare(price_list, _read(document, base_path)[1])
    except OpenApiError as error:
        raise CommandFailed(f"{_named(document)}:{error.problem}", FOUND_WRONG) from error


def in_words(found: Comparison, file: Path, document: Path) -> list[str]:
    """Say what either side lacks, one line each, with its place."""
    lines = [
        f"{_named(document)}:{gap.operation.line}: {_operation(gap)} has no price: "
        f"{gap.why}{f' ({file}:{gap.route.line})' if gap.route else ''}."
        for gap in found.without_price
    ]
    lines += [
        f"{file}:{gap.route.line}: {_route(gap)} has a price and is not in {_named(document)}."
        for gap in found.without_operation
    ]
    if found.same:
        return [f"All {found.operations} operations of {_named(document)} have a price."]
    return lines


def in_json(found: Comparison, document: Path) -> dict[str, Any]:
    """Say the same for programs."""
    return {
        "document": _named(document),
        "ok": found.same,
        "operations": found.operations,
        "without_price": [
            {
                "method": gap.operation.method,
                "path": gap.operation.path,
                "name": gap.operation.name,
                "line": gap.operation.line,
                "why": gap.why,
                "route_line": gap.route.line if gap.route else None,
            }
            for gap in found.without_price
        ],
        "without_operation": [
            {
                "method": gap.method,
                "path": gap.route.path,
                "name": gap.route.name,
                "line": gap.route.line,
            }
            for gap in found.without_operation
        ],
    }


def _operation(gap: Unserved) -> str:
    name = f" ({gap.operation.name})" if gap.operation.name else ""
    return f"{gap.operation.method} {gap.operation.path}{name}"


def _route(gap: Unmatched) -> str:
    return f"{gap.method or ', '.join(gap.route.methods)} {gap.route.path}"


def _read(path: Path, base_path: str | None) -> tuple[Document, Api]:
    if base_path is not None and not base_path.startswith("/"):
        raise click.UsageError("--base-path begins with a slash, like /v1; / alone is none")
    document = read_document(_text(path))
    return document, read_api(document, base_path=base_path)


def _text(path: Path) -> str:
    try:
        if path == STANDARD:
            raw = sys.stdin.buffer.read(MOST_BYTES)
        else:
            with path.open("rb") as opened:
                raw = opened.read(MOST_BYTES)
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        sentence = f"{_named(path)}:{line}:1: The document is not UTF-8."
        raise CommandFailed(sentence, FOUND_WRONG) from error


def _named(path: Path) -> str:
    return "standard input" if path == STANDARD else str(path)


def _target(file: Path | None) -> Path:
    if file == STANDARD:
        return file
    try:
        return Settings.from_environment(config=file).config
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        sentence = f"{path} is there already; remove it, or name another with --config"
        raise click.UsageError(sentence) from None
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}") from error


def _imported(target: Path, api: Api, made: Imported) -> dict[str, Any]:
    return {
        "file": str(target),
        "format": api.format,
        "operations": len(api.operations),
        "routes": made.routes,
        "upstreams": dict(made.upstreams),
        "skipped": list(made.skipped),
    }
