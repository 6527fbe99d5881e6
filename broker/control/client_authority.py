"""The authority that signs clients' certificates (RFC 5280): an agency's own key, under a name that the broker chooses.

Of a request (PKCS#10, RFC 2986) nothing counts but its key: subject and extensions are ours. The certificate's name is the
Kafka user of its credential; HTTP looks at its digest alone. An authority is for this purpose only: on Kafka, whatever it
signs under the name of a user is that user.
"""

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.control.keys import KeyStore
from broker.errors import ConfigError, Invalid

KEY = "client-authority"
"""Name of the seed of the local authority's key."""

MOST_CHARACTERS = 16_384
"""Of a request; one for an RSA key of 8,192 bits takes 3,000."""

_LEAST_RSA_BITS, _MOST_RSA_BITS = 3072, 8192
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_KEYS = f"RSA of {_LEAST_RSA_BITS} to {_MOST_RSA_BITS} bits, EC P-256 or P-384, or Ed25519"
_LONGEST_NAME = 64  # ub-common-name, RFC 5280 appendix A.1
_LOCAL_YEARS = timedelta(days=20 * 365)
_CLOCKS = timedelta(minutes=5)
"""How far the clock of who looks at a new certificate may be behind ours."""

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

Serial = Callable[[], int]
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate in PEM, with those of its authority behind it, and its digest as `x5t#S256`."""

    pem: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class ClientAuthority:
    """Signs with `key`; `certificates` are its own first, then those above it."""

    certificates: Sequence[x509.Certificate]
    key: SigningKey

    def issue(
        self, request: str, name: str, *, since: datetime, until: datetime, serial: Serial = x509.random_serial_number
    ) -> Issued:
        """A client's certificate for the key of a request in PEM. Raises `Invalid` with what to do."""
        public = requested_key(request)
        if len(name) > _LONGEST_NAME:
            raise Invalid(
                f"a certificate's name has at most {_LONGEST_NAME} characters: this organisation needs tokens"
            )
        if until > self.certificates[0].not_valid_after_utc:
            raise Invalid("the certificate would outlive the broker's authority: ask for fewer days")
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        made = signed(self, public, name, since=since - _CLOCKS, until=until, serial=serial, extensions=[usages])
        chain = "".join(pem(each) for each in (made, *self.certificates))
        return Issued(chain, thumbprint(made.public_bytes(Encoding.DER)))


def thumbprint(der: bytes) -> str:
    """`x5t#S256` of a certificate (RFC 8705 §3.1): base64url of SHA-256 over DER, without padding."""
    return base64.urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()


def pem(certificate: x509.Certificate) -> str:
    """The certificate as text."""
    return certificate.public_bytes(Encoding.PEM).decode()


def requested_key(request: str) -> PublicKey:
    """The key of a PKCS#10 request in PEM whose holder has signed it. Raises `Invalid`, which quotes nothing of it."""
    if len(request) > MOST_CHARACTERS:
        raise Invalid(f"csr: at most {MOST_CHARACTERS} characters")
    try:
        found = x509.load_pem_x509_csr(request.encode("ascii"))
        public, is_signed = found.public_key(), found.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        found = None
    if found is None:
        raise Invalid("csr: expected a PKCS#10 request in PEM (-----BEGIN CERTIFICATE REQUEST-----)")
    if isinstance(public, rsa.RSAPublicKey):
        fits = _LEAST_RSA_BITS <= public.key_size <= _MOST_RSA_BITS
    elif isinstance(public, ec.EllipticCurvePublicKey):
        fits = isinstance(public.curve, _CURVES)
    else:
        fits = isinstance(public, ed25519.Ed25519PublicKey)
    if not fits or not isinstance(public, PublicKey):
        raise Invalid(f"csr: its key must be {_KEYS}")
    if not is_signed:
        raise Invalid("csr: its signature is not that of its own key: make the request again")
    return public


def signed(
    authority: ClientAuthority,
    public: PublicKey,
    name: str,
    *,
    since: datetime,
    until: datetime,
    serial: Serial,
    extensions: Sequence[x509.ExtensionType],
) -> x509.Certificate:
    """A certificate of an end, never of an authority, for `public` under one common name."""
    own = authority.certificates[0]
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(own.subject)
        .public_key(public)
        .serial_number(serial())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_issuer_of(own), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority.key, _digest(authority.key))


def local_authority(
    keys: KeyStore, certificate: Path, now: datetime, serial: Serial = x509.random_serial_number
) -> ClientAuthority:
    """The installation's own: its key from the key store, its certificate in a file that is made at first use.

    Any number of processes may make it at once: the first one's stays. Raises `ConfigError` where the file is not of this key,
    and what the key store raises.
    """
    key = _key_of(keys.ensure(KEY))
    if not certificate.exists():
        _put(certificate, pem(_of_itself(key, now, serial)))
    return _loaded(certificate, key, f"{certificate} is not of this installation's keys: restore both from the backup")


def external_authority(certificate: Path, key: Path) -> ClientAuthority:
    """An authority of the operator's: PEM files of its certificate (those above it may follow) and its private key.

    Raises `ConfigError`, which names the settings and never quotes the files.
    """
    try:
        found = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, SigningKey):
        raise ConfigError("DATANUTS_CLIENT_CA_KEY: expected a PEM file with an RSA, EC or Ed25519 key without password")
    return _loaded(certificate, found, "DATANUTS_CLIENT_CA_CERTIFICATE: expected the PEM certificate of that key's CA")


def _loaded(path: Path, key: SigningKey, otherwise: str) -> ClientAuthority:
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
        is_authority = chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (OSError, ValueError, x509.ExtensionNotFound):
        raise ConfigError(otherwise) from None
    if chain[0].public_key() != key.public_key() or not is_authority:
        raise ConfigError(otherwise)
    return ClientAuthority(chain, key)


def _key_of(seed: bytes) -> ec.EllipticCurvePrivateKey:
    """A P-256 key from 32 random bytes: 384 bits reduced, so that no scalar is likelier (FIPS 186-5 §A.2.1)."""
    wide = HKDFExpand(hashes.SHA256(), 48, b"datanuts client authority P-256").derive(seed)
    return ec.derive_private_key(int.from_bytes(wide, "big") % (_P256_ORDER - 1) + 1, ec.SECP256R1())


def _of_itself(key: SigningKey, now: datetime, serial: Serial) -> x509.Certificate:
    public = key.public_key()
    name = _name("datanuts local authority")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(serial())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(now + _LOCAL_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return builder.sign(key, _digest(key))


def _put(path: Path, text: str) -> None:
    """Make a file whole or not at all, and leave one that another process made meanwhile."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_text(text, encoding="ascii")
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _issuer_of(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        own = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _digest(key: SigningKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
