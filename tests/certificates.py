"""An agency's key, its request and its certificate, as files; and an authority that nobody knows."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from broker.control.client_authority import ClientAuthority, local_authority, thumbprint
from broker.control.keys import FileKeyStore


@dataclass(frozen=True)
class Pair:
    """A private key in PEM (PKCS#8), and a request for a certificate of it."""

    key: str
    csr: str

    @classmethod
    def made(cls, key: Any = None, name: str = "whoever I say I am", *, digest: Any = None) -> "Pair":
        own = ec.generate_private_key(ec.SECP256R1()) if key is None else key
        used = digest or (None if isinstance(own, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        asked = x509.CertificateSigningRequestBuilder().subject_name(subject)
        asked = asked.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return cls(private, asked.sign(own, used).public_bytes(Encoding.PEM).decode())

    def files(self, folder: Path, certificate: str, name: str = "app") -> tuple[Path, Path]:
        """The certificate and the key, as an agency keeps them."""
        places = folder / f"{name}.pem", folder / f"{name}.key"
        for place, text in zip(places, (certificate, self.key), strict=True):
            place.write_text(text)
        return places


def first_of(pem: str) -> str:
    """The first certificate of a text."""
    end = "-----END CERTIFICATE-----"
    return f"{pem.partition(end)[0]}{end}\n"


def thumbprint_of(pem: str) -> str:
    """Of the first certificate in a text."""
    return thumbprint(ssl.PEM_cert_to_DER_cert(first_of(pem)))


def stranger(folder: Path) -> ClientAuthority:
    """Another installation's authority."""
    return local_authority(FileKeyStore(folder / "their-keys"), folder / "their-ca.pem", datetime.now(UTC))


def issued_by(authority: ClientAuthority, pair: Pair, name: str, *, since_h: float = -1, until_h: float = 1) -> str:
    """A certificate that no fact knows."""
    now = datetime.now(UTC)
    since, until = now + timedelta(hours=since_h), now + timedelta(hours=until_h)
    return authority.issue(pair.csr, name, since=since, until=until).pem
