"""The local stack's own server certificate: for this machine only, signed by the local authority, renewed at a start."""

import os
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from broker.control.client_authority import ClientAuthority, Serial, pem, signed
from broker.errors import ConfigError

NAMES = ("localhost", "127.0.0.1", "::1")

_LASTS = timedelta(days=397)
_RENEWED = timedelta(days=60)
"""Before its end: a stack that stays up for so long gets no new one meanwhile."""


def ensure_server_certificate(
    path: Path, authority: ClientAuthority, now: datetime, serial: Serial = x509.random_serial_number
) -> bool:
    """Have a file with a private key (PKCS#8) and its certificate chain, for `NAMES`; whether it was made now.

    One that ends soon, that another authority signed or that cannot be read is replaced, at once and readable by its owner
    only. Raises `ConfigError`.
    """
    if _serves(path, authority, now):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    names = x509.SubjectAlternativeName(list(map(_general, NAMES)))
    made = signed(
        authority,
        key.public_key(),
        "datanuts local server",
        since=now - timedelta(minutes=5),
        until=min(now + _LASTS, authority.certificates[0].not_valid_after_utc),
        serial=serial,
        extensions=[usages, names],
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    _replace(path, [private, pem(made), *map(pem, authority.certificates)])
    return True


def _serves(path: Path, authority: ClientAuthority, now: datetime) -> bool:
    try:
        held = path.read_bytes()
        if path.stat().st_mode & 0o077:
            return False
        key = load_pem_private_key(held, password=None)
        certificate = x509.load_pem_x509_certificates(held)[0]
        certificate.verify_directly_issued_by(authority.certificates[0])
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    return certificate.public_key() == key.public_key() and now + _RENEWED < certificate.not_valid_after_utc


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _replace(path: Path, parts: Sequence[str]) -> None:
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.writelines(parts)
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
