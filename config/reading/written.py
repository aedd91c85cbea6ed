"""What stands in a price file as it was written, where `${NAME}` is not looked up."""

from dataclasses import dataclass

from config.problems import PriceFileError, Problem
from config.reading.kinds import Reading, WrongValueError
from config.reading.nodes import Problems, read_nodes
from config.reading.shape import PRICE_FILE


@dataclass(frozen=True, slots=True)
class Written:
    """The texts that a list read without an environment does not hold."""

    urls: dict[str, str]
    """Of the upstreams, by name."""
    trusted_proxies: tuple[str, ...]


def read_written(text: str) -> Written:
    """
    Read them.

    Raises:
        PriceFileError: The file cannot be read; `load_price_list` says all that is wrong with it.
    """
    problems = Problems()
    root = read_nodes(text, problems)
    try:
        if root is None:
            raise WrongValueError
        entry = PRICE_FILE.read(root, Reading(problems, None))
    except WrongValueError:
        raise PriceFileError(problems.found or [Problem(1, 1, "The file is wrong.")]) from None
    upstreams = entry.get("upstreams", {}).items()
    return Written(
        urls={name: upstream.get("url") for name, (_, upstream) in upstreams if upstream},
        trusted_proxies=tuple(entry.get("trusted_proxies", ())),
    )
