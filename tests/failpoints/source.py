"""
The points, from the source: before and after each wait of a module that touches money.

A wait is an `await`, the entering or leaving of an `async with`, or a step of an `async for`. It
is named by its function and its own words, never by a line, so that edits elsewhere move nothing.
Where callbacks do the work, the calls in `STEPS` count as well.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

WHOLE = ("ledger", "billing", "gateway/operations")
"""Every module of these counts from the day it is written, unless it is exempt by name."""

STEPS = frozenset({"link.ask", "give_out"})
"""Calls that bring a tick to Redis, and its answers to those who asked: nothing awaits them."""

SINGLE = ("gateway/proxy.py", "gateway/forward.py", "gateway/identify.py")
"""Of the rest of the gateway: the way of one charged request."""

EXEMPT = {
    "ledger/account_history.py": "reads",
    "ledger/admins.py": "who may manage, no money",
    "ledger/batch_walk.py": "reads",
    "ledger/checks.py": "reads",
    "ledger/entries.py": "reads",
    "ledger/gateways.py": "which gateways run, no money",
    "ledger/heads.py": "reads",
    "ledger/limit_uses.py": "reads",
    "ledger/losses.py": "reads",
    "ledger/migrations.py": "before anything is served; one transaction each",
    "ledger/reconcile.py": "reads",
    "ledger/reconcile_limits.py": "reads",
    "ledger/replays.py": "reads; its sums are in a table of its own transaction",
    "ledger/schema.py": "reads",
    "ledger/signing.py": "a secret made once, no money",
    "ledger/observed.py": "reads",
    "ledger/traffic.py": "reads",
    "ledger/usage.py": "reads",
    "ledger/verify.py": "reads",
    "billing/attention.py": "reads",
    "billing/customer/portal.py": "a page at Stripe, no money",
    "billing/events/endpoint_setup.py": "registers an address at Stripe, no money",
    "billing/figures.py": "reads",
    "billing/lists.py": "reads",
    "billing/packages/": "what is for sale; an order keeps its own offer",
    "billing/purchases/purchase_view.py": "reads",
    "billing/selling_metrics.py": "reads",
    "billing/standin/": "plays Stripe",
    "billing/telling/delivery.py": "sends mail; a notice is written in the transaction it tells of",
    "billing/telling/low_balance.py": "asks who is below a threshold, no money",
    "billing/telling/mail.py": "sends mail",
    "billing/telling/operator_webhook.py": "sends notices",
    "gateway/operations/admins.py": "who may manage, no money",
    "gateway/operations/alerts.py": "reads, and ticks off",
    "gateway/operations/charges.py": "reads",
    "gateway/operations/figures.py": "reads",
    "gateway/operations/observed.py": "reads",
    "gateway/operations/health.py": "reads, and ticks off",
    "gateway/operations/history.py": "reads",
    "gateway/operations/limit_standing.py": "reads",
    "gateway/operations/jobs.py": "begins, and ends, what only reads",
    "gateway/operations/long_work.py": "reads",
    "gateway/operations/notices.py": "reads, and sends mail again",
    "gateway/operations/overview.py": "reads",
    "gateway/operations/packages.py": "what is for sale; an order keeps its own offer",
    "gateway/operations/payments.py": "reads",
    "gateway/operations/price_book.py": "reads",
    "gateway/operations/price_changes.py": "reads",
    "gateway/operations/checkouts.py": "calls what billing does",
    "gateway/operations/quotes.py": "reads",
    "gateway/operations/saved.py": "calls what billing does",
    "gateway/operations/replay_tally.py": "reads",
    "gateway/operations/replays.py": "reads",
    "gateway/operations/stripe.py": "calls what billing does; its own waits are a page for people",
    "gateway/operations/system.py": "reads",
}
"""Modules, or folders, in which no wait counts, and why."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait in the source; it has a point before and one behind."""

    module: str
    function: str
    words: str
    handling: bool
    """Whether it stands in an `except`, so that only a fault leads there."""

    @property
    def name(self) -> str:
        return f"{self.module}:{self.function}: {self.words}"

    @property
    def points(self) -> tuple[str, str]:
        return f"before {self.name}", f"after {self.name}"


def counted() -> dict[str, Path]:
    """The modules that touch money, by name."""
    files = [*(ROOT / name for name in SINGLE)]
    for folder in WHOLE:
        files += (ROOT / folder).rglob("*.py")
    found = {}
    for file in sorted(files):
        path = file.relative_to(ROOT).as_posix()
        if not any(path == name or (name[-1] == "/" and path.startswith(name)) for name in EXEMPT):
            found[path.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")] = file
    return found


def all_waits() -> list[Wait]:
    """Every wait of every module that counts, in the order of the source."""
    found: list[Wait] = []
    for module, file in counted().items():
        marked = Marking(module)
        marked.visit(ast.parse(file.read_text("utf-8")))
        found += marked.waits
    return found


class Marking(ast.NodeTransformer):
    """Names every wait of a module and leaves a call of `RUNTIME` on either side of it."""

    RUNTIME = "_failpoints_"

    def __init__(self, module: str) -> None:
        self.waits: list[Wait] = []
        self._module = module
        self._within: list[str] = []
        self._handlers = [0]
        self._seen: Counter[tuple[str, str]] = Counter()

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._inside(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._inside(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self._handlers[-1] += 1
        self.generic_visit(node)
        self._handlers[-1] -= 1
        return node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        wait = self._wait("await", node.value)
        self.generic_visit(node)
        return self._between(wait, node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) not in STEPS:
            return self.generic_visit(node)
        wait = self._wait("call", node)
        self.generic_visit(node)
        return self._between(wait, node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        for item in node.items:
            enter = self._wait("enter", item.context_expr)
            leave = self._wait("leave", item.context_expr)
            item.context_expr = self._call(
                "around", *enter.points, *leave.points, self.visit(item.context_expr)
            )
        node.body = [self.visit(each) for each in node.body]
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        wait = self._wait("step of", node.iter)
        self.generic_visit(node)
        node.iter = self._call("steps", *wait.points, node.iter)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        if not node.is_async:
            return self.generic_visit(node)
        wait = self._wait("step of", node.iter)
        self.generic_visit(node)
        node.iter = self._call("steps", *wait.points, node.iter)
        return node

    def _between(self, wait: Wait, node: ast.expr) -> ast.expr:
        # A tuple, whose first item is evaluated first: even what is awaited is made behind it.
        marked = ast.Tuple(
            [self._call("pass_by", wait.points[0]), self._call("behind", wait.points[1], node)],
            ast.Load(),
        )
        return ast.Subscript(marked, ast.Constant(1), ast.Load())

    def _inside(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._within.append(node.name)
        self._handlers.append(0)
        self.generic_visit(node)
        self._handlers.pop()
        self._within.pop()
        return node

    def _wait(self, kind: str, what: ast.expr) -> Wait:
        function = ".".join(self._within)
        words = f"{kind} {_short(what)}"
        self._seen[function, words] += 1
        if (nth := self._seen[function, words]) > 1:
            words = f"{words} ({nth})"
        wait = Wait(self._module, function, words, handling=self._handlers[-1] > 0)
        self.waits.append(wait)
        return wait

    def _call(self, function: str, *given: str | ast.expr) -> ast.expr:
        runtime = ast.Attribute(ast.Name(self.RUNTIME, ast.Load()), function, ast.Load())
        arguments = [ast.Constant(each) if isinstance(each, str) else each for each in given]
        return ast.Call(runtime, arguments, [])


def marked(module: str, text: str) -> ast.Module:
    """A module's tree with its points in it."""
    tree = Marking(module).visit(ast.parse(text))
    place = next(n for n, each in enumerate(_heads(tree.body)) if not each)
    load = ast.ImportFrom("tests.failpoints", [ast.alias("runtime", Marking.RUNTIME)], 0)
    tree.body.insert(place, load)
    with_points: ast.Module = ast.fix_missing_locations(tree)
    return with_points


def _heads(body: Sequence[ast.stmt]) -> Iterator[bool]:
    """Say of each statement whether it has to come first: the docstring, imports of the future."""
    for each in body:
        yield (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)) or (
            isinstance(each, ast.ImportFrom) and each.module == "__future__"
        )
    yield False


def _short(what: ast.expr) -> str:
    """The words of a wait: what is called, with its first argument where that is a statement's name."""
    if isinstance(what, ast.Call):
        first = what.args[0] if what.args else None
        words = ast.unparse(first) if isinstance(first, ast.Attribute) else ""
        return f"{ast.unparse(what.func)}({words})"
    return " ".join(ast.unparse(what).split())[:80]
