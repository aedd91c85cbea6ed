"""
The types that ship inside the SDK, resolved so that they can be walked.

They are generated from Stripe's own description of the pinned version, so what they
say about parameters and answers is what Stripe accepts and gives.
"""

import ast
import inspect
import sys
from functools import cache
from importlib import import_module
from types import ModuleType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import stripe
from stripe._request_options import RequestOptions

# Every parameter class also has the options of a call (api_key, headers, ...): no parameters.
CALL_OPTIONS = frozenset(RequestOptions.__annotations__)


@cache
def params_class(name: str) -> type:
    """Find `checkout.SessionCreateParams` below `stripe.params`."""
    thing: Any = import_module("stripe.params")
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing  # type: ignore[no-any-return]


@cache
def fields(cls: type) -> dict[str, Any]:
    """Names and types of a parameter class or of an object's class, forward references resolved."""
    own: dict[str, Any] = {}
    hidden = CALL_OPTIONS if hasattr(cls, "__required_keys__") else {"OBJECT_NAME"}
    for base in reversed(inspect.getmro(cls)):
        if base is cls or issubclass(base, stripe.StripeObject):
            own |= {
                name: hint
                for name, hint in inspect.get_annotations(base).items()
                if name not in hidden and not name.startswith("_")
            }

    def holder() -> None:
        """Carry annotations: get_type_hints resolves those of functions one by one."""

    holder.__annotations__ = own
    module = sys.modules[cls.__module__]
    return get_type_hints(holder, globalns=_names(module), localns=dict(vars(cls)))


@cache
def _names(module: ModuleType) -> dict[str, Any]:
    """Find what a module's annotations may name, with what it only imports for type checkers."""
    names = dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("stripe"):
            source = import_module(node.module)
            for alias in node.names:
                if hasattr(source, alias.name):
                    names.setdefault(alias.asname or alias.name, getattr(source, alias.name))
    return names


class Choice(NamedTuple):
    """
    A type, taken apart.

    Attributes:
        members: The alternatives except None and literals.
        literals: The allowed words; None where any text will do.
        clears: Whether an empty text unsets the parameter.
        nullable: Whether it may be null or absent.

    """

    members: tuple[Any, ...]
    literals: tuple[Any, ...] | None
    clears: bool
    nullable: bool


@cache
def choice(hint: Any) -> Choice:
    """
    Take a type apart.

    `Literal[...] | str` is how the SDK stays open for words that Stripe adds later. Today's
    words are all there are today, so they are taken as the only ones; but
    `Literal[''] | str` means any text, or an empty one to unset.
    """
    members: list[Any] = []
    literals: list[Any] = []
    nullable = False
    for member in _alternatives(hint):
        if member is type(None):
            nullable = True
        elif get_origin(member) is Literal:
            literals += get_args(member)
        else:
            members.append(member)
    words = tuple(word for word in literals if word != "")
    return Choice(tuple(members), words or None, "" in literals, nullable)


def _alternatives(hint: Any) -> list[Any]:
    if get_origin(hint) in (Union, UnionType):
        return [one for member in get_args(hint) for one in _alternatives(member)]
    return [hint]
