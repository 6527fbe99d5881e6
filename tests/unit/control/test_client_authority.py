"""The authority for client certificates: which requests it signs, what it says in its own words, and that it stays the same."""

import base64
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.control.client_authority import (
    MOST_CHARACTERS,
    ClientAuthority,
    external_authority,
    local_authority,
    pem,
)
from broker.control.keys import FileKeyStore
from broker.control.server_certificate import ensure_server_certificate
from broker.errors import ConfigError, Invalid
from tests.certificates import Pair, thumbprint_of
from tests.unit.control.room import NOW

DAY = timedelta(days=1)
NAME = "stad-gent~0f3c12ab"


@pytest.fixture
def authority(tmp_path: Path) -> ClientAuthority:
    return local_authority(FileKeyStore(tmp_path / "keys"), tmp_path / "tls" / "ca.pem", NOW)


def certificate(authority: ClientAuthority, csr: str, name: str = NAME) -> tuple[str, x509.Certificate]:
    issued = authority.issue(csr, name, since=NOW, until=NOW + DAY)
    assert issued.thumbprint == thumbprint_of(issued.pem)
    return issued.pem, x509.load_pem_x509_certificate(issued.pem.encode())


def test_only_the_key_of_a_request_counts(authority) -> None:
    pair = Pair.made(name="operator~00000000")
    text, made = certificate(authority, pair.csr)
    assert made.subject.rfc4514_string() == f"CN={NAME}"
    assert made.public_key() == x509.load_pem_x509_csr(pair.csr.encode()).public_key()
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert made.not_valid_after_utc == NOW + DAY
    assert NOW - DAY < made.not_valid_before_utc < NOW
    made.verify_directly_issued_by(authority.certificates[0])
    assert text.endswith(pem(authority.certificates[0]))


def test_each_certificate_has_a_number_of_its_own(authority) -> None:
    pair = Pair.made()
    numbers = {certificate(authority, pair.csr)[1].serial_number for _ in range(20)}
    assert len(numbers) == 20
    assert min(numbers) > 1 << 64


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 3072),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["rsa", "p384", "ed25519"],
)
def test_the_usual_keys_are_signed(authority, key) -> None:
    _, made = certificate(authority, Pair.made(key).csr)
    assert made.public_key() == key.public_key()


def exchanged(csr: str) -> str:
    """The request with another's key in place of the one that signed it."""
    theirs, ours = (x509.load_pem_x509_csr(each.encode()) for each in (csr, Pair.made().csr))
    form = (Encoding.X962, PublicFormat.UncompressedPoint)
    old, new = (each.public_key().public_bytes(*form) for each in (theirs, ours))
    der = theirs.public_bytes(Encoding.DER)
    assert old in der
    return as_pem([base64.b64encode(der.replace(old, new)).decode()])


def as_pem(lines: list[str], kind: str = "CERTIFICATE REQUEST") -> str:
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "empty": (lambda: "", "PKCS#10"),
    "prose": (lambda: "een certificaat, alstublieft", "PKCS#10"),
    "not ASCII": (lambda: Pair.made().csr.replace("CERTIFICATE", "CERTIFIC\u00c4TE"), "PKCS#10"),
    "a private key": (lambda: Pair.made().key, "PKCS#10"),
    "cut off": (lambda: Pair.made().csr[:200], "PKCS#10"),
    "no DER inside": (lambda: as_pem(["AAAA"]), "PKCS#10"),
    "too long": (lambda: "x" * (MOST_CHARACTERS + 1), str(MOST_CHARACTERS)),
    "RSA of 2048 bits": (lambda: Pair.made(rsa.generate_private_key(65537, 2048)).csr, "RSA of 3072"),
    "P-521": (lambda: Pair.made(ec.generate_private_key(ec.SECP521R1())).csr, "P-256"),
    "secp256k1": (lambda: Pair.made(ec.generate_private_key(ec.SECP256K1())).csr, "P-256"),
    "another's key": (lambda: exchanged(Pair.made().csr), "signature"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_request_that_is_not_in_order_is_refused_and_not_quoted(authority, what) -> None:
    made, told = REFUSED[what]
    csr = made()
    with pytest.raises(Invalid, match=r"csr: ") as error:
        certificate(authority, csr)
    assert told in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__context__ is None


def test_what_no_certificate_can_hold_is_refused(authority) -> None:
    pair = Pair.made()
    with pytest.raises(Invalid, match="64 characters"):
        certificate(authority, pair.csr, "a" * 56 + "~0f3c12ab")
    certificate(authority, pair.csr, "a" * 55 + "~0f3c12ab")
    with pytest.raises(Invalid, match="fewer days"):
        authority.issue(pair.csr, NAME, since=NOW, until=authority.certificates[0].not_valid_after_utc + DAY)


def test_the_authority_is_the_same_in_every_process_and_after_a_restart(authority, tmp_path) -> None:
    again = local_authority(FileKeyStore(tmp_path / "keys"), tmp_path / "tls" / "ca.pem", NOW + 99 * DAY)
    assert list(again.certificates) == list(authority.certificates)
    assert not list((tmp_path / "tls").glob("ca.pem.*"))
    (tmp_path / "tls" / "ca.pem").unlink()
    renewed = local_authority(FileKeyStore(tmp_path / "keys"), tmp_path / "tls" / "ca.pem", NOW)
    _, made = certificate(authority, Pair.made().csr)
    made.verify_directly_issued_by(renewed.certificates[0])  # the key is what counts, and that was kept


@pytest.mark.usefixtures("authority")
def test_a_certificate_of_other_keys_is_said_not_replaced(tmp_path) -> None:
    before = (tmp_path / "tls" / "ca.pem").read_bytes()
    with pytest.raises(ConfigError, match="restore both"):
        local_authority(FileKeyStore(tmp_path / "other"), tmp_path / "tls" / "ca.pem", NOW)
    assert (tmp_path / "tls" / "ca.pem").read_bytes() == before


def test_an_authority_of_the_operators_signs_too(authority, tmp_path) -> None:
    key, ca = tmp_path / "ca.key", tmp_path / "ca.pem"
    key.write_bytes(authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ca.write_text(pem(authority.certificates[0]))
    _, made = certificate(external_authority(ca, key), Pair.made().csr)
    made.verify_directly_issued_by(authority.certificates[0])


@pytest.mark.parametrize("wrong", ["other key", "no authority", "no file", "prose"])
def test_an_authority_that_cannot_sign_is_named_by_its_setting(authority, tmp_path, wrong) -> None:
    own = Pair.made()
    key, ca = tmp_path / "ca.key", tmp_path / "ca.pem"
    key.write_text(own.key)
    if wrong == "other key":
        ca.write_text(pem(authority.certificates[0]))
    elif wrong == "no authority":
        ca.write_text(authority.issue(own.csr, NAME, since=NOW, until=NOW + DAY).pem)
    elif wrong == "prose":
        ca.write_text("geheim")
        key.write_text("geheim")
    with pytest.raises(ConfigError, match="DATANUTS_CLIENT_CA_") as error:
        external_authority(ca, key)
    assert "geheim" not in str(error.value)


def test_the_local_servers_certificate_is_kept_until_it_is_near_its_end(authority, tmp_path) -> None:
    path = tmp_path / "tls" / "server.pem"
    assert ensure_server_certificate(path, authority, NOW)
    first = path.read_text()
    made = x509.load_pem_x509_certificate(first[first.index("-----BEGIN CERT") :].encode())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert "127.0.0.1" in map(str, names.get_values_for_type(x509.IPAddress))
    usages = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]  # it opens nothing as a client
    assert "~" not in str(made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not ensure_server_certificate(path, authority, NOW + 300 * DAY)
    assert path.read_text() == first
    assert ensure_server_certificate(path, authority, NOW + 350 * DAY)
    assert path.read_text() != first


@pytest.mark.parametrize("damage", ["open to others", "cut off", "another authority"])
def test_a_server_certificate_that_does_not_serve_is_made_again(authority, tmp_path, damage) -> None:
    path = tmp_path / "tls" / "server.pem"
    ensure_server_certificate(path, authority, NOW)
    if damage == "open to others":
        path.chmod(0o644)
    elif damage == "cut off":
        path.write_text(path.read_text()[:300])
    else:
        other = local_authority(FileKeyStore(tmp_path / "other"), tmp_path / "other.pem", NOW)
        path.unlink()
        ensure_server_certificate(path, other, NOW)
    assert ensure_server_certificate(path, authority, NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not ensure_server_certificate(path, authority, NOW)
