"""How a side's signature is taken in: from the signed PDF of the protocol, or as a stand-in where all persons are fictional.

Of a signed PDF its digest and the time in its signature are kept, never the certificate: that names a person.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from broker.errors import Conflict, Forbidden, Invalid
from broker.model.lifecycle import Method, Signature


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A PDF whose qualified signature is valid: its SHA-256 as hex, and when it was signed (UTC)."""

    sha256: str
    signed_at: datetime


class VerifyDocument(Protocol):
    """Verifies a signed PDF."""

    def __call__(self, pdf: bytes, rendered: bytes, /) -> SignedDocument:
        """The PDF if it is `rendered` with a valid qualified signature added; raises `Invalid` saying what is wrong."""


def not_verified_here(_pdf: bytes, _rendered: bytes, /) -> SignedDocument:
    """Refuse every document: for an installation that cannot verify signatures."""
    raise Conflict("this installation cannot verify qualified signatures: its operator sets that up first")


def taken(
    signature: Signature,
    pdf: bytes | None,
    rendered: Callable[[], bytes],
    verify: VerifyDocument,
    *,
    fictional: bool,
) -> Signature:
    """The signature as it is kept; `fictional`: the installation holds synthetic persons only.

    Raises `Forbidden` for a stand-in where persons are real, `Invalid` where the PDF is missing, superfluous or wrong.
    """
    if signature.method is Method.DEV:
        if not fictional:
            raise Forbidden("real persons need real signatures: sign the protocol's PDF (method qes-document)")
        if pdf is not None:
            raise Invalid("document: a dev signature has none; sign with method qes-document")
        return replace(signature, document_sha256=None)
    if pdf is None:
        raise Invalid("document: hand in the signed PDF of the protocol")
    document = verify(pdf, rendered())
    return replace(signature, document_sha256=document.sha256, signed_at=document.signed_at)
