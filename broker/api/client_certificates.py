"""Which client certificate a request came with: of its own connection, or of the one that a trusted proxy ended.

The connection's is in the ASGI TLS extension, verified by whoever ended TLS. Of a proxy it is the header `Client-Cert`
(RFC 9440), which counts from the addresses of the proxies only: anybody else can write any header. A certificate is
known here by its digest alone, never by a name in it.
"""

import base64
import binascii
import re
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from fastapi import Request

from broker.control.client_authority import thumbprint
from broker.errors import Unauthenticated

Network = IPv4Network | IPv6Network

_HEADER = re.compile(r":([A-Za-z0-9+/]+={0,2}):")
_LONGEST_HEADER = 16_384


def shown_certificate(request: Request, proxies: Sequence[Network]) -> str | None:
    """`x5t#S256` of the certificate, None where none was shown. Raises `Unauthenticated` for a proxy's that cannot be read."""
    told = request.scope.get("extensions", {})
    stated = request.headers.getlist("client-cert")
    if stated and _is_of(told.get("peer", {}).get("host"), proxies):
        return thumbprint(_der(stated))
    chain = told.get("tls", {}).get("client_cert_chain")
    return thumbprint(ssl.PEM_cert_to_DER_cert(chain[0])) if chain else None


def _is_of(host: str | None, proxies: Sequence[Network]) -> bool:
    try:
        address = ip_address(host or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in proxies)


def _der(stated: Sequence[str]) -> bytes:
    found = _HEADER.fullmatch(stated[0].strip()) if len(stated) == 1 and len(stated[0]) <= _LONGEST_HEADER else None
    try:
        return base64.b64decode(found[1] if found else "", validate=True) or _refuse()
    except binascii.Error:
        return _refuse()


def _refuse() -> bytes:
    raise Unauthenticated("a valid credential is needed")
