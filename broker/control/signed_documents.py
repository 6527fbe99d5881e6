"""Whether a PDF is our rendered protocol with a valid electronic signature added, and nothing else.

PDF signatures are appended: a signed document begins with the bytes that were handed out to sign, so the text is compared
byte by byte. What was appended may add signatures and what keeps them verifiable, nothing that changes a page. ISO 32000-2
§12.8, ETSI EN 319 142-1 (PAdES); the checks themselves are pyHanko's.

Nothing of a certificate is returned, kept or told: it names a person.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_pem_x509_certificates
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.diff_analysis import (
    DEFAULT_DIFF_POLICY,
    DiffResult,
    FormUpdatingRule,
    ModificationLevel,
    SigFieldCreationRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
)
from pyhanko.sign.validation import EmbeddedPdfSignature, validate_pdf_signature
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from broker.control.signing import SignedDocument
from broker.errors import BrokerError, ConfigError, Conflict, Invalid

logging.getLogger("pyhanko").setLevel(logging.CRITICAL)  # what it logs names signers
logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)

MOST_ADDED = 1024 * 1024
"""Bytes that signatures may add to the rendered document."""

_SIGNING_ONLY = StandardDiffPolicy(
    DEFAULT_DIFF_POLICY.global_rules,
    FormUpdatingRule(
        [SigFieldCreationRule(), SigFieldModificationRule()],  # type: ignore[no-untyped-call]
        {"/Fields", "/SigFlags", "/DA", "/DR"},
    ),
)
"""What may differ from the rendered document: signature fields, and what any writer of PDF notes about itself."""

_AHEAD = timedelta(minutes=5)
"""How far a signer's clock may run before ours."""

_WRONG_DOCUMENT = (
    "document: not the protocol's PDF: download it, sign that file and hand it in without saving it otherwise"
)
_CHANGED = "document: it was changed besides the signing: sign the downloaded PDF again and change nothing in it"
_UNSIGNED = "document: it holds no signature: sign the PDF and hand in the signed file"
_INVALID = "document: its signature is not valid: sign the downloaded PDF again"
_UNREADABLE = "document: the signed PDF cannot be read: sign the downloaded PDF again"
_OTHER_USE = "document: the certificate is not meant for signing: sign with the one for signatures, not for logging in"
_UNKNOWN = (
    "document: issued by nobody this installation trusts for signatures: sign with a qualified certificate (eID, itsme)"
)
_EXPIRED = "document: the signer's certificate is not valid now or was not at signing: sign again with a valid one"
_UNDATED = "document: the signature does not say when it was made, or says a moment that has yet to come: sign again"


def trust_roots(folder: Path | None) -> tuple[Certificate, ...]:
    """The certificates of the `*.pem` files in a folder; none without one. Raises `ConfigError`."""
    if folder is None:
        return ()
    try:
        files = [path.read_bytes() for path in sorted(folder.glob("*.pem"))]
        found = tuple(certificate for file in files for certificate in load_pem_x509_certificates(file))
    except (OSError, ValueError):
        raise ConfigError("DATANUTS_TRUST_ROOTS: a file of the folder is no PEM certificate") from None
    if not found:
        raise ConfigError("DATANUTS_TRUST_ROOTS: expected a folder with *.pem files")
    return found


def verifier(roots: Sequence[Certificate], now: Callable[[], datetime]) -> Callable[[bytes, bytes], SignedDocument]:
    """`verify_signed_pdf` against these roots; without any, every document is refused."""

    def verify(pdf: bytes, rendered: bytes) -> SignedDocument:
        return verify_signed_pdf(pdf, rendered, roots=roots, at=now())

    return verify


def verify_signed_pdf(signed: bytes, rendered: bytes, *, roots: Sequence[Certificate], at: datetime) -> SignedDocument:
    """Digest and signing time of a validly signed `rendered`, handed in at `at`.

    Raises `Invalid` with what to do: another document, changed besides the signing, no or no valid signature, an unknown
    issuer, a certificate that does not count; `Conflict` where no roots are configured. The last signature counts: earlier
    ones are part of what it covers. Revocation is not looked up: that needs the network.
    """
    if not roots:
        raise Conflict("qualified signatures need DATANUTS_TRUST_ROOTS: the folder with certificates of their issuers")
    if not signed.startswith(rendered) or not rendered:
        raise Invalid(_WRONG_DOCUMENT)
    if len(signed) == len(rendered):
        raise Invalid(_UNSIGNED)
    if len(signed) - len(rendered) > MOST_ADDED:
        raise Invalid(f"document: signing may add at most {MOST_ADDED} bytes: sign without added files or images")
    # pyHanko starts an event loop of its own, and there may be one in this thread.
    with ThreadPoolExecutor(1) as thread:
        signed_at = thread.submit(_checked, signed, rendered, roots, at).result()
    return SignedDocument(sha256(signed).hexdigest(), signed_at)


def _checked(signed: bytes, rendered: bytes, roots: Sequence[Certificate], at: datetime) -> datetime:
    """When the document was signed; raises `Invalid`."""
    refusal = _UNREADABLE
    try:
        reader = PdfFileReader(BytesIO(signed))
        if reader.xrefs.get_startxref_for_revision(0) != PdfFileReader(BytesIO(rendered)).last_startxref:
            refusal = _CHANGED  # a new document in the appended part, for which the rendered bytes are only ballast
        elif not reader.embedded_regular_signatures:
            refusal = _UNSIGNED
        else:
            return _signed_at(reader, roots, at)
    except BrokerError:
        raise
    except Exception:  # noqa: BLE001, S110 - on hostile bytes the library raises whatever it stumbles over
        pass
    raise Invalid(refusal)  # outside the handler, so that no traceback quotes the document or its certificate


def _signed_at(reader: PdfFileReader, roots: Sequence[Certificate], at: datetime) -> datetime:
    signature: EmbeddedPdfSignature = reader.embedded_regular_signatures[-1]
    since_ours = _SIGNING_ONLY.review_file(reader, 0)
    if not isinstance(since_ours, DiffResult) or since_ours.modification_level > ModificationLevel.FORM_FILLING:
        raise Invalid(_CHANGED)
    stated = signature.self_reported_timestamp
    if stated is None or stated.tzinfo is None or stated > at + _AHEAD:
        raise Invalid(_UNDATED)
    certificate = signature.signer_cert
    for moment in (stated, at):  # when it was signed is the signer's own word: the certificate must count today too
        if not certificate.not_valid_before <= moment <= certificate.not_valid_after:
            raise Invalid(_EXPIRED)
        for refusal in _refusals(validate_pdf_signature(signature, _context(roots, moment))):
            raise Invalid(refusal)
    return stated.astimezone(UTC)


def _context(roots: Sequence[Certificate], moment: datetime) -> ValidationContext:
    anchors = [anchor for root in roots for anchor in load_certs_from_pemder_data(root.public_bytes(Encoding.PEM))]
    return ValidationContext(trust_roots=anchors, moment=moment, allow_fetching=False, revocation_mode="soft-fail")


def _refusals(found: PdfSignatureStatus) -> Iterator[str]:
    whole = {SignatureCoverageLevel.ENTIRE_FILE, SignatureCoverageLevel.ENTIRE_REVISION}
    added = found.modification_level
    if not found.intact or found.coverage not in whole or (added and added > ModificationLevel.LTA_UPDATES):
        yield _CHANGED
    if not found.valid:
        yield _INVALID
    if found.trust_problem_indic is AdESIndeterminate.CHAIN_CONSTRAINTS_FAILURE:
        yield _OTHER_USE
    if not found.trusted:
        yield _UNKNOWN
    if not found.bottom_line:
        yield _INVALID
