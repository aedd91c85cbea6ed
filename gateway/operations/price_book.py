"""The price lists of earlier versions, read again so that old charges explain themselves."""

from collections import OrderedDict
from collections.abc import Mapping

from config import PriceFileError, PriceList, load_price_list
from ledger import price_versions
from ledger.database import Connection
from ledger.errors import NotFound

MAX_LISTS = 16
"""Charges that people look at are mostly of the last few versions."""


class PriceBook:
    """Price lists by version. What a version says never changes, so it is read once."""

    def __init__(self, environ: Mapping[str, str] | None) -> None:
        """Read with `environ` for `${NAME}`; None leaves it unexpanded: enough for prices."""
        self._environ = environ
        self._lists: OrderedDict[int, PriceList | None] = OrderedDict()

    async def version(self, connection: Connection, version: int) -> PriceList | None:
        """
        Return the price list of a version.

        None where there is no text that can be read here: a variable it names is gone, or this
        release has become stricter. The charge then shows its figures without arithmetic.
        """
        if version not in self._lists:
            self._lists[version] = await self._read(connection, version)
            if len(self._lists) > MAX_LISTS:
                self._lists.popitem(last=False)
        self._lists.move_to_end(version)
        return self._lists[version]

    async def _read(self, connection: Connection, version: int) -> PriceList | None:
        try:
            text = await price_versions.text_of(connection, version)
            return load_price_list(text, environ=self._environ)
        except (NotFound, PriceFileError):
            return None
