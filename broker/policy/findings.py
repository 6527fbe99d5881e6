"""What a static check says of a document: one broken clause as a value, and the refusal that carries them all."""

from collections.abc import Iterable
from typing import NamedTuple

from broker.errors import AgreementRefused


class Finding(NamedTuple):
    """One broken clause: stable code, place in the document or schema path, and the clause with what to do."""

    code: str
    path: str
    text: str


def refuse_if(findings: Iterable[Finding]) -> None:
    """Raise `AgreementRefused` with all findings if there is any."""
    found = tuple(findings)
    if found:
        raise AgreementRefused(found)
