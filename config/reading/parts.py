"""What the parts of one file know of each other while they are built."""

from dataclasses import dataclass, field

from config.amounts import parse_amount
from config.limits import Limits
from config.model import Cors, CreditType, Upstream
from config.reading.kinds import Entry, Reading, WrongValueError
from config.reading.nodes import Node
from config.reading.scalars import AmountText

USUAL_TYPE = "credits"
"""The credit type where the file defines none, and where a price names none."""


@dataclass(slots=True)
class Parts:
    """Names that others refer to; None where the entry is there but wrong, and was noted."""

    reading: Reading
    prefix: str
    observe: bool
    cors: Cors = field(default_factory=Cors)
    limits: Limits = field(default_factory=Limits)
    credit_types: dict[str, CreditType | None] = field(default_factory=dict)
    upstreams: dict[str, Upstream | None] = field(default_factory=dict)
    windows: dict[str, Node] = field(default_factory=dict)

    def credit_type(self, entry: Entry | None, at: Node) -> CreditType:
        """
        Give the credit type that a price or package names; else the only one, or `credits`.

        Raises:
            WrongValueError: It is unknown, or none is named and several could be meant.
        """
        if entry is None or entry.get("credit_type") is None:
            if len(self.credit_types) > 1 and USUAL_TYPE not in self.credit_types:
                names = ", ".join(self.credit_types)
                raise WrongValueError(at, "There are several credit types.", f"Name one: {names}.")
            name = USUAL_TYPE if USUAL_TYPE in self.credit_types else next(iter(self.credit_types))
        else:
            name, at = entry.get("credit_type"), entry.node("credit_type")
        if name not in self.credit_types:
            hint = f"There are: {', '.join(self.credit_types)}."
            raise WrongValueError(at, f"There is no credit type `{name}`.", hint)
        known = self.credit_types[name]
        if known is None:
            raise WrongValueError  # noted where it is defined
        return known


def amount(written: AmountText, scale: int) -> int:
    """
    Turn an amount as written into smallest units.

    Raises:
        WrongValueError: More decimals than the scale, or above 9e13.
    """
    try:
        return parse_amount(written.text, scale)
    except ValueError as error:
        sentence = f"{str(error)[0].upper()}{str(error)[1:]}."
        raise WrongValueError(written.node, sentence) from None


def amount_of(entry: Entry, key: str, scale: int) -> int | None:
    """
    Give an optional amount of a mapping in smallest units.

    Raises:
        WrongValueError: More decimals than the scale, or above 9e13.
    """
    written: AmountText | None = entry.get(key)
    return None if written is None else amount(written, scale)
