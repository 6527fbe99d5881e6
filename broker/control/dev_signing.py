"""Takes an agreement through its whole life cycle with `dev` signatures, each step in the name of its actor.

For demonstrations, measurements and tests: an installation with real persons refuses the signatures.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from broker.model.lifecycle import Advice, AgreementEntry, Method, Signature, Step, Verdict, awaited

_FUNCTION, _MANDATE = "leidend ambtenaar (fictief)", "delegatiebesluit (fictief)"


class Steps(Protocol):
    """The use-cases of a negotiation; `broker.control.agreements` behind it."""

    async def request(self, document: Mapping[str, Any], by: str) -> AgreementEntry:
        """Register a version."""

    async def approve(self, agreement: str, by: str) -> AgreementEntry:
        """The source agrees with it."""

    async def advise(self, agreement: str, advice: Advice, by: str) -> AgreementEntry:
        """One side's advice."""

    async def sign(self, agreement: str, signature: Signature, by: str) -> AgreementEntry:
        """One side's signature."""

    async def publish(self, agreement: str, by: str) -> AgreementEntry:
        """Make it known; active where its term has begun."""


async def bring_into_force(steps: Steps, document: Mapping[str, Any], at: datetime) -> AgreementEntry:
    """Every step that this version still needs, signed at the instant `at`; returns it as it stands then.

    A version that is in force is left alone. Raises what the steps raise.
    """
    entry = await steps.request(document, document["agency"])
    while owed := awaited(entry):
        step, by = owed[0]
        match step:
            case Step.APPROVED:
                entry = await steps.approve(entry.id, by)
            case Step.ADVISED:
                entry = await steps.advise(entry.id, _advice(entry, by), by)
            case Step.SIGNED:
                entry = await steps.sign(entry.id, _signature(entry, by, at), by)
            case _:
                entry = await steps.publish(entry.id, by)
    return entry


def _advice(entry: AgreementEntry, side: str) -> Advice:
    return Advice(side, Verdict.FAVOURABLE, f"FICTIEF-{side}-{entry.version}", entry.text_sha256 or "")


def _signature(entry: AgreementEntry, side: str, at: datetime) -> Signature:
    return Signature(side, _FUNCTION, _MANDATE, Method.DEV, entry.text_sha256 or "", None, at)
