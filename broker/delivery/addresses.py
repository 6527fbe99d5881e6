"""Which IP addresses a call to the outside may go to: globally reachable unicast ones, also where one hides in another.

Ranges after the IANA special-purpose address registries (RFC 6890 and its updates), written out because what
`ipaddress` calls global differs between versions of Python.
"""

import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network; connects to the machine itself on Linux
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by carriers (RFC 6598); a cloud's metadata at 100.100.100.200
            "127.0.0.0/8",
            "168.63.129.16/32",  # a cloud's own service, on an address that looks public
            "169.254.0.0/16",  # link-local; most clouds' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",  # documentation, as the next ones
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation, as the next one
            "3fff::/20",
            "2620:4f:8000::/48",
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)
_LOW_32 = (1 << 32) - 1

NEVER_BY_NAME: tuple[Network, ...] = (
    *map(IPv4Network, ("0.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")),
    *map(IPv6Network, ("::/128", "fd00:ec2::/32", "fe80::/10", "ff00::/8")),
)
"""Where even a name that the operator allowed may not lead: machines' own credentials and no machines at all."""


def address(text: str) -> Address:
    """The address that a resolver or a URL states; raises `ValueError` for every other spelling of it."""
    if "%" in text:
        raise ValueError("an address with a zone")
    return ipaddress.ip_address(text)


def reachable(stated: Address) -> bool:
    """Whether anyone on the internet may be there, and nobody on this side of it."""
    return all(map(_globally, _within(stated)))


def _within(stated: Address) -> Iterator[Address]:
    """The address a packet finally goes to, whichever of these a router on the way takes apart."""
    if isinstance(stated, IPv4Address):
        yield stated
        return
    number = int(stated)
    if stated.ipv4_mapped is not None:
        yield stated.ipv4_mapped
    elif stated in _NAT64:
        yield IPv4Address(number & _LOW_32)
    else:
        yield stated
    if stated in _6TO4:
        yield IPv4Address(number >> 80 & _LOW_32)
    if number >> 32 & _LOW_32 in _ISATAP:
        yield IPv4Address(number & _LOW_32)


def _globally(stated: Address) -> bool:
    if isinstance(stated, IPv4Address):
        return not any(stated in network for network in _REFUSED_V4)
    return stated in _GLOBAL_V6 and not any(stated in network for network in _REFUSED_V6)
