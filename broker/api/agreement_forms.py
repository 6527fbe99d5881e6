"""What is stated with a step of an agreement, and the signed document that a body may be."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Body, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from broker.control.negotiation import Said
from broker.errors import Invalid, TooLarge
from broker.model.lifecycle import Method, Verdict

PDF = "application/pdf"

LARGEST_DOCUMENT = 4 << 20
"""Bytes; a signed protocol is its PDF of some 100 kB with what the signature adds."""

_Words = Annotated[str, Field(strict=True, min_length=1, max_length=2000)]
_Line = Annotated[str, Field(strict=True, min_length=1, max_length=200)]
_Digest = Annotated[str, Field(strict=True, pattern="^[0-9a-f]{64}$")]


class StepForm(BaseModel):
    """Why a step is taken, and in which function; names no person."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, alias_generator=to_camel)

    why: _Words | None = None
    function: _Line | None = None

    def said(self) -> Said:
        """As the use-cases take it."""
        said = Said()
        if self.why is not None:
            said["why"] = self.why
        if self.function is not None:
            said["function"] = self.function
        return said


class ApprovalForm(StepForm):
    """The text that was read; without its hash, the one that is requested now."""

    text_sha256: _Digest | None = None


class AdviceForm(StepForm):
    """A data protection officer's advice on a text, and why this side departs from it, if it does."""

    verdict: Verdict
    reference: _Line
    departure: _Words | None = None
    text_sha256: _Digest


class SignatureForm(StepForm):
    """Function and mandate of who signs; the document of method `qes-document` is the body itself."""

    function: _Line
    mandate: _Line
    method: Method = Method.DEV
    text_sha256: _Digest


NOTHING = StepForm()
Stated = Annotated[StepForm, Body(description="Optional.")]
NO_TEXT = ApprovalForm()


def signature_form(stated: bytes | Mapping[str, Any]) -> SignatureForm:
    """The form in a body, or of query parameters; raises `Invalid` naming places, never values."""
    try:
        if isinstance(stated, bytes):
            return SignatureForm.model_validate_json(stated)
        return SignatureForm.model_validate(stated)
    except ValidationError as error:
        places = sorted({".".join(map(str, line["loc"])) or "body" for line in error.errors()})
        raise Invalid(f"missing or malformed: {', '.join(places)}") from None


async def document_body(request: Request) -> bytes:
    """The body, as far as a signed document may be large; raises `TooLarge`."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_DOCUMENT:
            raise TooLarge(f"a signed document has at most {LARGEST_DOCUMENT >> 20} MiB")
    return bytes(body)
