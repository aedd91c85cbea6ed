"""The commands about the price file: `check`, `quote`, `init`. Only --account needs a store."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from config import (
    PriceFileError,
    PriceList,
    Quote,
    Route,
    Settings,
    SettingsError,
    Unpriceable,
    format_amount,
    load_price_list,
    plan_warnings,
    read_price_file,
    starter_file,
)
from config import quote as quote_request
from gateway.commands.account_quote import quoted_for
from gateway.commands.openapi import DOCUMENT, compared, in_json, in_words
from gateway.commands.options import chosen, json_option
from gateway.commands.session import at_a_desk, printed

FOUND_WRONG = 1

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE, required=False)
@click.option(
    "--openapi",
    "document",
    type=DOCUMENT,
    help="An OpenAPI document: name operations without a price, and prices without an operation.",
)
@click.option("--base-path", metavar="PATH", help="Before its paths, if not what its servers say.")
@json_option
def check(file: Path | None, document: Path | None, base_path: str | None) -> int:
    """Check the price FILE (farebox.yaml): all that is wrong, with line and column."""
    path = _settings(file).config
    try:
        price_list = _load(path)
    except PriceFileError as error:
        if chosen("as_json"):
            _print_json({"file": str(path), "ok": False, "problems": _problems(error)})
        else:
            for problem in error.problems:
                click.echo(f"{path}:{problem}")
        return FOUND_WRONG
    found = compared(price_list, document, base_path) if document else None
    if chosen("as_json"):
        more = {"openapi": in_json(found, document)} if found and document else {}
        _print_json({"file": str(path), "ok": True, "problems": [], **_summary(price_list), **more})
    else:
        click.echo(f"{path}: fine. {_sentence(price_list)}")
        if found is None or document is None:
            lines = [f"{path}:{one.line}: {_unpriced(one)}" for one in price_list.unpriced]
            lines += [f"{path}: {sentence}" for sentence in plan_warnings(price_list)]
        else:
            lines = in_words(found, path, document)
        click.echo("\n".join(lines), nl=bool(lines))
    return 0 if found is None or found.same else FOUND_WRONG


@click.command()
@click.argument("method")
@click.argument("path")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header.")
@click.option("-d", "--data", "body", help="The body; JSON unless a header says otherwise.")
@click.option("--plan", default="", help="For an account on this plan.")
@click.option("--feature", "features", multiple=True, help="That has this feature beside it.")
@click.option("--config", "file", type=FILE, help="The price file (farebox.yaml).")
@click.option("--account", help="What it would cost this account: allowances, quotas, balance.")
@click.option("--key", help="With this key of the account: its quotas and caps as well.")
@json_option
def quote(  # noqa: PLR0917 - click gives them by name
    method: str,
    path: str,
    headers: tuple[str, ...],
    body: str | None,
    file: Path | None,
    account: str | None,
    key: str | None,
    plan: str,
    features: tuple[str, ...],
) -> int:
    """
    Say what a request would cost, and why, without sending it.

    With --account also what it would cost this one: from the stores, whose options stand before
    the word `quote` (`farebox --data DIR quote ...`).
    """
    if key is not None and account is None:
        raise click.UsageError("--key needs --account")
    if account is not None and (plan or features):
        raise click.UsageError("--account has a plan of its own: leave out --plan and --feature")
    settings = _settings(file)
    sent = [_header(text) for text in headers]
    if body is not None and not any(name == b"content-type" for name, _ in sent):
        sent.append((b"content-type", b"application/json"))
    data = None if body is None else body.encode()

    def ask(plan: str, features: Sequence[str]) -> Quote:
        return quote_request(prices, method.upper(), path, sent, data, plan=plan, features=features)

    try:
        prices = _load(settings.config)
        if account is not None:
            said = partial(_said, path=settings.config)
            return printed(at_a_desk(quoted_for, False, prices, ask, said, (account, key)))
        priced = ask(plan, features)
    except PriceFileError as error:
        first, count = error.problems[0], len(error.problems)
        more = f" (and {count - 1} more; see `farebox check`)" if count > 1 else ""
        click.echo(f"farebox: {settings.config}:{first}{more}", err=True)
        return FOUND_WRONG
    except Unpriceable as error:
        if chosen("as_json"):
            refused = {"status": error.status, "code": error.code, "detail": error.message}
            _print_json({"priced": False, **refused})
        else:
            click.echo(f"refused with {error.status} {error.code}: {error.message}")
        return FOUND_WRONG
    if chosen("as_json"):
        _print_json({"priced": True, **_quoted(priced)})
    else:
        click.echo(_said(priced, settings.config))
    return 0


@click.command()
@click.option("--upstream", required=True, metavar="URL", help="Where the backend is.")
@click.option("--config", "file", type=FILE, help="The file to write (farebox.yaml).")
def init(upstream: str, file: Path | None) -> int:
    """Write a first price file: everything passes and is shown, nothing is charged yet."""
    path = _settings(file).config
    text = starter_file(upstream, path.name)
    try:
        load_price_list(text, environ={})
    except PriceFileError as error:
        problem = error.problems[0]
        raise click.UsageError(f"--upstream: {problem.message} {problem.hint}".strip()) from error
    try:
        with path.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        sentence = f"{path} is there already; remove it, or name another with --config"
        raise click.UsageError(sentence) from None
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"{path} is written, in observe mode. Next: farebox serve --config {path}")
    return 0


def _settings(file: Path | None) -> Settings:
    try:
        return Settings.from_environment(config=file)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def _load(path: Path) -> PriceList:
    """
    Load the file with this process's environment.

    Raises:
        click.UsageError: There is no such file: nothing was checked.
        PriceFileError: It cannot be used.
    """
    if not path.exists():
        hint = "make one with `farebox init --upstream URL`"
        raise click.UsageError(f"there is no price file {path}; {hint}")
    return load_price_list(read_price_file(path), environ=Settings.from_environment().environ)


def _header(text: str) -> tuple[bytes, bytes]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise click.UsageError(f"-H {text!r} is not like 'Name: value'")
    try:
        return name.strip().lower().encode("ascii"), value.strip().encode("latin-1")
    except UnicodeEncodeError:
        raise click.UsageError(f"-H {text!r} cannot be sent as a header") from None


def _problems(error: PriceFileError) -> list[dict[str, Any]]:
    return [
        {"line": p.line, "column": p.column, "message": p.message, "hint": p.hint}
        for p in error.problems
    ]


def _summary(price_list: PriceList) -> dict[str, Any]:
    return {
        "routes": len(price_list.routes),
        "upstreams": len(price_list.upstreams),
        "packages": len(price_list.packages),
        "observe": price_list.observe,
        "strict_routes": [route.name for route in price_list.routes if route.strict],
        "plans": list(price_list.plans),
        "warnings": plan_warnings(price_list),
        "unpriced": [
            {"name": route.name, "path": route.path, "methods": route.methods, "line": route.line}
            for route in price_list.unpriced
        ],
        "largest_ceilings": {
            name: price_list.largest_ceiling(name) for name in price_list.credit_types
        },
    }


def _sentence(price_list: PriceList) -> str:
    counts = (
        (len(price_list.routes), "route"),
        (len(price_list.upstreams), "upstream"),
        (len(price_list.packages), "package"),
        *([(len(price_list.plans), "plan")] if price_list.plans else []),
    )
    sentence = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts) + "."
    strict = sum(route.strict and not route.observe for route in price_list.routes)
    if strict:
        sentence += f" {strict} wait{'s' if strict == 1 else ''} for Postgres before forwarding."
    if price_list.observe:
        sentence += " It observes only: nothing is charged."
    if unpriced := len(price_list.unpriced):
        sentence += f" {unpriced} {'has' if unpriced == 1 else 'have'} no price yet."
    return sentence


def _unpriced(route: Route) -> str:
    return f"{', '.join(route.methods)} {route.path} ({route.name}) has no price yet."


def _quoted(priced: Quote) -> dict[str, Any]:
    return {
        "rule": priced.rule,
        "name": priced.name,
        "path": priced.path,
        "line": priced.line,
        "credit_type": priced.credit_type,
        "scale": priced.scale,
        "units": [
            {"source": line.source, "quantity": line.quantity, "unit": line.unit, "cost": line.cost}
            for line in priced.lines
        ],
        "arithmetic": priced.arithmetic,
        "amount": priced.amount,
        "amount_shown": format_amount(priced.amount, priced.scale),
        "final": priced.final,
        "observe": priced.observe,
        "public": priced.public,
        "strict": priced.strict,
        "plan": priced.plan,
    }


def _said(priced: Quote, path: Path) -> str:
    amount = f"{format_amount(priced.amount, priced.scale)} {priced.credit_type}"
    rows = [
        ("cost", amount if priced.final else f"at most {amount}"),
        ("rule", f"{priced.rule}: {priced.path} ({path}:{priced.line})"),
        ("name", priced.name),
        *(("unit", f"{line.source} = {line.quantity}") for line in priced.lines),
        ("arithmetic", priced.arithmetic),
    ]
    if priced.observe:
        rows.append(("observe", "priced and shown only; nothing is charged"))
    if priced.strict:
        rows.append(("strict", "forwarded only when Postgres has the hold"))
    return "\n".join(f"{name:<11} {value}" for name, value in rows)


def _print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
