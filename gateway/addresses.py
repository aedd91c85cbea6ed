"""Which addresses count as one caller, where something is limited by address."""

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

_GIVEN_TO_ONE = 64
"""Bits of IPv6: the smallest network that is given out, so that each has 2^64 addresses of it."""


@lru_cache(maxsize=4096)
def one_caller(address: str) -> str:
    """
    Return the name under which an address is counted; what is no address counts as it is.

    An IPv6 address counts as its /64, an IPv4 one written as IPv6 as the IPv4 one.
    """
    try:
        read = ip_address(address)
    except ValueError:
        return address
    if not isinstance(read, IPv6Address):
        return address
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return str(IPv6Network((int(read), _GIVEN_TO_ONE), strict=False))
