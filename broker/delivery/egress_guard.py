"""Where the broker may call out to: a URL in its one plain spelling, at addresses that were looked at themselves.

Against server-side request forgery (OWASP API7:2023). A URL is refused unless it is written so that every parser reads the
same in it; its name is resolved here, every address must pass, and the caller connects to what passed, so that a name
cannot change its meaning in between (DNS rebinding).
"""

import asyncio
import re
import socket
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network

from broker.delivery.addresses import NEVER_BY_NAME, Address, Network, address, reachable
from broker.errors import AddressRefused, ConfigError

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Addresses of a host name, as text; raises `OSError` where there is none now."""

PORTS = frozenset({443, 8443})
SSH_PORTS = frozenset({22, 2222})
LONGEST_URL = 2000

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,254})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?"
    r"(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)",
    re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_HERE = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "onion")
"""Last labels that lead to this machine, to this network, or away from the DNS."""

_LONGEST_NAME = 253
_LARGEST_PORT = 65535
_RESOLVING_THREADS = 32


@dataclass(frozen=True, slots=True)
class Target:
    """What may be called once its addresses pass; `url` is its one spelling, `literal` the address it states itself.

    `named` is what it is called in refusals.
    """

    url: str
    scheme: str
    host: str
    port: int
    literal: Address | None
    named: str = "url"


@dataclass(frozen=True, slots=True)
class AllowList:
    """What the operator exempts: host names, and networks; for these also http and every port."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str, setting: str = "DATANUTS_WEBHOOK_ALLOW") -> "AllowList":
        """From names, addresses and CIDRs separated by commas; raises `ConfigError` naming the setting for anything else."""
        hosts, networks = set(), []
        for entry in filter(None, (part.strip() for part in text.split(","))):
            try:
                address(entry.partition("/")[0])  # refuses zones
                networks.append(ip_network(entry))
            except ValueError:
                if _name_fault(name := entry.lower(), single=True):
                    raise ConfigError(
                        f"{setting}: expected host names, addresses and CIDRs (without host bits), separated by commas"
                    ) from None
                hosts.add(name)
        return cls(frozenset(hosts), tuple(networks))

    def covers(self, stated: Address) -> bool:
        """Whether an address is in an allowed network."""
        return any(stated.version == network.version and stated in network for network in self.networks)


class EgressGuard:
    """Looks at URLs and at what their names resolve to, under one allow-list."""

    def __init__(self, allow: AllowList, resolve: Resolve) -> None:
        self._allow = allow
        self._resolve = resolve

    def target(self, url: str) -> Target:
        """The URL if it is well-formed and asks for nothing forbidden by itself; raises `AddressRefused` saying why."""
        stated = _URL.fullmatch(url)
        if len(url) > LONGEST_URL or stated is None:
            raise AddressRefused(
                "url: must be https://host/path in plain ASCII (an international name as xn--…), without user, password, "
                f"fragment or backslash, at most {LONGEST_URL} characters"
            )
        scheme, host, rest = stated["scheme"], stated["host"].lower(), stated["rest"]
        literal, exempt = self._host(host, "url")
        port = int(stated["port"] or (443 if scheme == "https" else 80))
        if scheme != "https" and not exempt:
            raise AddressRefused("url: must be https")
        if not 0 < port <= _LARGEST_PORT or (port not in PORTS and not exempt):
            raise AddressRefused("url: the port must be 443 or 8443")
        plain = "" if stated["port"] is None or port == (443 if scheme == "https" else 80) else f":{port}"
        path = rest if rest.startswith("/") else f"/{rest}"
        return Target(f"{scheme}://{host}{plain}{path}", scheme, host, port, literal)

    def place(self, host: str, port: int) -> Target:
        """An SSH server by its name or address, if it asks for nothing forbidden by itself; raises `AddressRefused` saying why."""
        plain = host.lower()
        literal, exempt = self._host(plain, "host")
        if not 0 < port <= _LARGEST_PORT or (port not in SSH_PORTS and not exempt):
            raise AddressRefused("port: must be 22 or 2222")
        return Target(f"sftp://{plain}:{port}", "sftp", plain, port, literal, "host")

    def _host(self, host: str, named: str) -> tuple[Address | None, bool]:
        """The address that a host in lower case is, and whether the operator exempts it; raises `AddressRefused`."""
        literal = _literal(host, named)
        if literal is None and (fault := _name_fault(host, single=host in self._allow.hosts)):
            raise AddressRefused(f"{named}: {fault}")
        exempt = host in self._allow.hosts if literal is None else self._allow.covers(literal)
        if not exempt and literal is None and host.rpartition(".")[2] in _HERE:
            raise AddressRefused(f"{named}: the host is one that only this machine or network knows")
        if literal is not None and not exempt and not reachable(literal):
            raise _inside(named)
        return literal, exempt

    async def addresses(self, target: Target) -> tuple[str, ...]:
        """Addresses to connect to, every one of them checked now; raises `AddressRefused`, or `OSError` without any."""
        if target.literal is not None:
            return (str(target.literal),)
        found = [self._checked(target, text) for text in await self._resolve(target.host)]
        if not found:
            raise OSError("the name has no address")
        return tuple(dict.fromkeys(found))

    def _checked(self, target: Target, text: str) -> str:
        try:
            stated = address(text)
        except ValueError:
            raise _inside(target.named) from None
        by_name = target.host in self._allow.hosts and not any(
            stated.version == network.version and stated in network for network in NEVER_BY_NAME
        )
        if not (by_name or self._allow.covers(stated) or reachable(stated)):
            raise _inside(target.named)
        return str(stated)


class SystemResolver:
    """The machine's resolver, in threads of its own; a name that is slow to answer is asked once at a time."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVING_THREADS, thread_name_prefix="resolve")
        self._asked: dict[str, asyncio.Future[list[str]]] = {}

    async def __call__(self, host: str) -> Sequence[str]:
        """See `Resolve`; given up on, the question stays asked, and who comes next shares its answer."""
        asked = self._asked.get(host)
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host)
            self._asked[host] = asked
            asked.add_done_callback(lambda done: self._answered(host, done))
        return await asyncio.shield(asked)

    def _answered(self, host: str, done: "asyncio.Future[list[str]]") -> None:
        self._asked.pop(host, None)
        if not done.cancelled():
            done.exception()  # nobody may be waiting any more

    def close(self) -> None:
        """Let go of the threads, without waiting for what they still ask."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(line[4][0]) for line in found))


def _literal(host: str, named: str) -> Address | None:
    """The address that a host is; None for a name. Other spellings of numbers are no names either: `_name_fault`."""
    if host.startswith("["):
        try:
            return address(host[1:-1])
        except ValueError:
            raise AddressRefused(f"{named}: the address in brackets is none") from None
    try:
        return IPv4Address(host)
    except ValueError:
        return None


def _name_fault(name: str, *, single: bool) -> str:
    """Why a text is no usable host name; empty where it is one. `single`: it may have one label only."""
    labels = name.split(".")
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        return "the host must be a name of labels of at most 63 letters, digits and inner hyphens, without a dot at its end"
    if _NUMBER.fullmatch(labels[-1]):
        return "an address is written as four decimal numbers, or in brackets"
    if not single and len(labels) == 1:
        return "the host must be a full name"
    if not all(map(_plain, labels)):
        return "the host holds a label that is no international name"
    return ""


def _plain(label: str) -> bool:
    """Whether a label is ASCII as it is, or the encoding of a text that stands for nothing but itself (RFC 5890)."""
    if label[2:4] != "--":
        return True
    if not label.startswith("xn--"):
        return False
    try:
        text = label[4:].encode().decode("punycode")
    except UnicodeError:
        return False
    canonical = unicodedata.normalize("NFKC", text).lower() == text
    word = all(unicodedata.category(character)[0] in "LMN" or character in "-·" for character in text)
    return not text.isascii() and word and canonical and text.encode("punycode").decode() == label[4:]


def _inside(named: str) -> AddressRefused:
    return AddressRefused(f"{named}: the host leads to an address that is not on the public internet")
