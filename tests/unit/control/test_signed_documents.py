"""Signed protocols: a PDF counts only if it is ours, signed by someone we trust, and changed by nothing but the signing."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.keys import load_certs_from_pemder_data, load_private_key_from_pemder_data
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, FloatObject, StreamObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfSigningSession
from pyhanko_certvalidator.registry import SimpleCertificateStore

from broker.control.signed_documents import MOST_ADDED, trust_roots, verifier, verify_signed_pdf
from broker.errors import ConfigError, Conflict, Invalid
from broker.policy.protocol_pdf import pdf

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
NAME = "Canary Ondertekenaar"
RENDERED = pdf("# Protocol\n\nNaam en adres.\n", title="Protocol", at=datetime(2026, 11, 1, tzinfo=UTC))
OTHER = pdf("# Protocol\n\nNaam, adres en inkomen.\n", title="Protocol", at=datetime(2026, 11, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Identity:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def identity(
    name: str, issuer: Identity | None, *, until: datetime = NOW + timedelta(days=365), signs: bool = True
) -> Identity:
    """A certificate authority (no issuer), or someone with a certificate of one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    usage = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=700 if issuer else 7000))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=signs and issuer is not None,
                key_cert_sign=issuer is None,
                crl_sign=issuer is None,
                **usage,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Identity(made, key)


AUTHORITY = identity("Overheid Test CA", None)
STRANGER = identity("Vreemde CA", None)
SIGNER = identity(NAME, AUTHORITY)
ROOTS = (AUTHORITY.certificate,)


class DatedSigner(PdfSigner):
    """A signing program whose clock shows `at`."""

    at = NOW

    def init_signing_session(self, pdf_out: Any, existing_fields_only: bool = False) -> PdfSigningSession:  # noqa: FBT001, FBT002 - as overridden
        session = super().init_signing_session(pdf_out, existing_fields_only)
        session.system_time = self.at
        return session


def signed(
    document: bytes,
    by: Identity = SIGNER,
    *,
    field: str = "Handtekening1",
    at: datetime = NOW,
    box: tuple[int, int, int, int] | None = None,
) -> bytes:
    """As a signing program leaves it: PAdES, appended."""
    key = by.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signer = SimpleSigner(
        signing_cert=next(iter(load_certs_from_pemder_data(by.certificate.public_bytes(Encoding.PEM)))),
        signing_key=load_private_key_from_pemder_data(key, None),
        cert_registry=SimpleCertificateStore(),
    )
    metadata = PdfSignatureMetadata(field_name=field, subfilter=SigSeedSubFilter.PADES, md_algorithm="sha256")
    pen = DatedSigner(metadata, signer, new_field_spec=SigFieldSpec(field, box=box) if box else None)
    pen.at = at
    return bytes(pen.sign_pdf(IncrementalPdfFileWriter(BytesIO(document))).getbuffer())


def appended(document: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """The document with an update that is not a signature."""
    writer = IncrementalPdfFileWriter(BytesIO(document))
    change(writer)
    made = BytesIO()
    writer.write(made)
    return made.getvalue()


def other_text(writer: IncrementalPdfFileWriter) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    page[pdf_name("/Contents")] = writer.add_object(StreamObject(stream_data=b"BT /F1 12 Tf (inkomen) Tj ET"))
    writer.mark_update(page.container_ref)


def a_note(writer: IncrementalPdfFileWriter) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    corners = ArrayObject(map(FloatObject, (0, 0, 600, 800)))
    note = {"/Type": pdf_name("/Annot"), "/Subtype": pdf_name("/Square"), "/Rect": corners}
    page[pdf_name("/Annots")] = ArrayObject(
        [writer.add_object(DictionaryObject({pdf_name(k): v for k, v in note.items()}))]
    )
    writer.mark_update(page.container_ref)


def nothing_visible(writer: IncrementalPdfFileWriter) -> None:
    writer.add_object(StreamObject(stream_data=b"canary"))


def shadowed() -> bytes:
    """Another document behind ours, with a cross-reference table of its own that does not lead to ours."""
    ahead = len(RENDERED)

    def moved(entry: re.Match[bytes]) -> bytes:
        return b"%010d 00000 n" % (int(entry[1]) + ahead)

    other = re.sub(rb"(\d{10}) 00000 n", moved, OTHER)
    other = re.sub(rb"startxref\s+(\d+)", lambda found: b"startxref\n%d" % (int(found[1]) + ahead), other)
    return RENDERED + other


def refusal(document: bytes, roots: tuple[x509.Certificate, ...] = ROOTS, at: datetime = NOW) -> str:
    with pytest.raises(Invalid) as refused:
        verify_signed_pdf(document, RENDERED, roots=roots, at=at)
    assert NAME not in repr(refused.value.args)
    assert refused.value.__context__ is None  # a traceback could quote the certificate
    return str(refused.value)


@pytest.mark.parametrize("box", [None, (20, 20, 200, 80)])
def test_our_document_with_a_valid_signature_counts(box: tuple[int, int, int, int] | None) -> None:
    document = signed(RENDERED, box=box, at=NOW - timedelta(hours=2))
    found = verify_signed_pdf(document, RENDERED, roots=ROOTS, at=NOW)
    assert found.sha256 == sha256(document).hexdigest()
    assert found.signed_at == NOW - timedelta(hours=2)


def test_the_second_side_may_sign_the_document_that_the_first_signed() -> None:
    both = signed(signed(RENDERED, at=NOW - timedelta(days=1)), identity("Bron", AUTHORITY), field="Handtekening2")
    assert verify_signed_pdf(both, RENDERED, roots=ROOTS, at=NOW).signed_at == NOW


SIGNED = signed(RENDERED)


async def test_it_works_inside_an_event_loop() -> None:
    assert verifier(ROOTS, lambda: NOW)(SIGNED, RENDERED).signed_at == NOW


def test_nothing_of_the_certificate_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    verify_signed_pdf(SIGNED, RENDERED, roots=ROOTS, at=NOW)
    refusal(signed(RENDERED, identity(NAME, STRANGER)))
    refusal(appended(SIGNED, other_text))
    assert {record.name for record in caplog.records} <= {"asyncio"}
    assert NAME not in caplog.text


def test_only_the_rendered_document_itself_counts() -> None:
    assert "not the protocol's PDF" in refusal(signed(OTHER))
    assert "not the protocol's PDF" in refusal(signed(RENDERED)[1:])
    assert "not the protocol's PDF" in refusal(b"")


def test_without_a_signature_it_does_not_count() -> None:
    assert "holds no signature" in refusal(RENDERED)
    assert "holds no signature" in refusal(appended(RENDERED, nothing_visible))


@pytest.mark.parametrize("change", [other_text, a_note])
def test_a_change_before_or_after_the_signing_is_found(change: Callable[[IncrementalPdfFileWriter], None]) -> None:
    assert "changed besides the signing" in refusal(signed(appended(RENDERED, change)))
    assert "changed besides the signing" in refusal(appended(signed(RENDERED), change))


def test_another_document_behind_ours_is_found() -> None:
    assert "changed besides the signing" in refusal(signed(shadowed()))


def test_a_signature_over_other_bytes_is_not_valid() -> None:
    document = bytearray(signed(RENDERED, box=(20, 20, 200, 80)))
    place = document.rindex(b"/Rect")
    digit = document.index(b"2", place)
    document[digit] = ord("3")
    assert "changed besides the signing" in refusal(bytes(document))


def test_a_damaged_signature_is_not_valid() -> None:
    document = signed(RENDERED)
    signature = re.search(rb"/Contents <([0-9A-Fa-f]+?)(?:00)*>", document)
    assert signature is not None
    end = signature.end(1) - 1
    damaged = document[:end] + (b"1" if document[end : end + 1] != b"1" else b"2") + document[end + 1 :]
    assert "signature is not valid" in refusal(damaged)


def test_the_issuer_must_be_trusted_here() -> None:
    assert "issued by nobody" in refusal(signed(RENDERED, identity(NAME, STRANGER)))
    assert "issued by nobody" in refusal(signed(RENDERED), roots=(STRANGER.certificate,))


def test_a_certificate_that_is_not_for_signatures_does_not_count() -> None:
    assert "not meant for signing" in refusal(signed(RENDERED, identity(NAME, AUTHORITY, signs=False)))


def test_a_certificate_counts_only_in_its_time() -> None:
    last_week = identity(NAME, AUTHORITY, until=NOW - timedelta(days=7))
    assert "certificate is not valid" in refusal(signed(RENDERED, last_week))
    # Back-dated or kept for long, which without a time stamp nobody can tell apart.
    assert "certificate is not valid" in refusal(signed(RENDERED, last_week, at=NOW - timedelta(days=8)))
    assert "certificate is not valid" in refusal(signed(RENDERED, at=NOW - timedelta(days=800)))


def test_a_moment_that_has_yet_to_come_is_refused() -> None:
    assert "yet to come" in refusal(signed(RENDERED, at=NOW + timedelta(hours=1)))


@pytest.mark.parametrize(
    "rubbish",
    [
        b"canary",
        b"\nstartxref\n7\n%%EOF\n",
        b"\nxref\n0 1\ntrailer\n<</Prev 7>>\nstartxref\n%d\n%%%%EOF" % len(RENDERED),
    ],
)
def test_hostile_bytes_are_refused_without_a_word_of_them(rubbish: bytes) -> None:
    assert "canary" not in refusal(RENDERED + rubbish)


def test_signing_adds_little() -> None:
    assert f"at most {MOST_ADDED} bytes" in refusal(signed(RENDERED) + b" " * MOST_ADDED)


def test_without_trusted_issuers_the_operator_is_told_what_to_set() -> None:
    with pytest.raises(Conflict, match="DATANUTS_TRUST_ROOTS"):
        verify_signed_pdf(signed(RENDERED), RENDERED, roots=(), at=NOW)


def test_trusted_issuers_are_the_pem_files_of_a_folder(tmp_path: Path) -> None:
    assert trust_roots(None) == ()
    (tmp_path / "b.pem").write_bytes(STRANGER.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "a.pem").write_bytes(AUTHORITY.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "LEESMIJ.txt").write_text("geen certificaat")
    assert trust_roots(tmp_path) == (AUTHORITY.certificate, STRANGER.certificate)


@pytest.mark.parametrize("held", [None, "", "geen certificaat"])
def test_a_folder_without_certificates_is_a_wrong_setting(tmp_path: Path, held: str | None) -> None:
    if held is not None:
        (tmp_path / "a.pem").write_text(held)
    with pytest.raises(ConfigError, match="DATANUTS_TRUST_ROOTS"):
        trust_roots(tmp_path)
    with pytest.raises(ConfigError, match="DATANUTS_TRUST_ROOTS"):
        trust_roots(tmp_path / "absent")
