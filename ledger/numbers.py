"""Numbers in records: unsigned and little-endian, of as many bytes as the layout says."""


def unsigned(number: int, size: int) -> bytes:
    """Return it in so many bytes; OverflowError where it does not fit."""
    return number.to_bytes(size, "little")


def number_in(raw: bytes) -> int:
    """Return what all of these bytes say."""
    return int.from_bytes(raw, "little")
