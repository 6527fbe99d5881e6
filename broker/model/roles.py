"""Roles that a credential or a client may hold; what each may do is in docs/identity.md, a test compares the two."""

from collections.abc import Iterable

from broker.errors import Invalid

AGENCY = "agency"
SOURCE_OWNER = "source-owner"
OPERATOR = "operator"
DPO = "dpo"
"""Data protection officer of a party: reads what its organisation sees, and advises."""

AUDITOR = "auditor"
"""Reads what its organisation sees, and changes nothing."""

SUPERVISOR = "supervisor"
"""Supervisory authority (VTC, GBA): reads every agreement, and each of its reads is logged."""

PROCESSOR = "processor"
"""Acts for an organisation under a mandate (art. 28 GDPR); by itself it reads what its own organisation sees."""

CITIZEN = "citizen"
"""A subject. Nobody is let in by this role yet."""

ROLES = frozenset({AGENCY, SOURCE_OWNER, OPERATOR, DPO, AUDITOR, SUPERVISOR, PROCESSOR})
"""Those that an organisation's credentials and clients can hold."""

READING = frozenset({AUDITOR, SUPERVISOR, PROCESSOR})
"""Who holds no other role changes nothing, whatever the route."""

OVER_ALL = frozenset({OPERATOR, SUPERVISOR})
"""Roles that reach beyond the holder's own organisation: given by the operator only, never by what a token says."""


def held(stated: Iterable[str]) -> tuple[str, ...]:
    """Roles in a stable order; raises `Invalid` for none, and for others than `ROLES`."""
    roles = frozenset(stated)
    if not roles or not roles <= ROLES:
        raise Invalid(f"roles: one or more of {', '.join(sorted(ROLES))}")
    return tuple(sorted(roles))
