"""The grammar of header lines (RFC 9110 5.5 and 5.6.2), for both directions."""

import re

Headers = list[tuple[bytes, bytes]]

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
# Possessive throughout: it never goes back, so its time is linear in what it reads.
HEADER_LINE = TOKEN + rb"++:[\t -~\x80-\xff]*+\r\n"
_FIELD = re.compile(rb"([^:]++):[\t ]*+([^\r]*+)\r\n")

LENGTH = re.compile(rb"0|[1-9][0-9]{0,14}")
"""One to fifteen digits: below 2^53 and beyond any body; no sign, no list, no leading zero."""


def fields(lines: bytes) -> Headers:
    """Take well-formed header lines apart: names in lower case, no white space before values."""
    return [(name.lower(), value) for name, value in _FIELD.findall(lines)]
