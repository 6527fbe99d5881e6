"""Small-cell warnings: fields that point at one person together, though none of them does alone (recital 26 GDPR).

A stream has a key per subject that persists, pseudonym or not, so a year of birth and a municipality are seen side by side
and through time. The owner lists the combinations in the ceiling; a warning is for both sides to weigh, not a refusal.
"""

from collections import Counter
from collections.abc import Iterator

from broker.model.agreement import Agreement, Ceiling, Transform
from broker.policy.compiler import leaves_of
from broker.policy.findings import Finding
from broker.policy.views import SchemaView

_AGE_REACHED = frozenset({Transform.ADULT, Transform.AGE})
"""One such answer leaves a wide group; two about the same date make a band of it."""

_KNOWS_WHO = frozenset({Transform.KEEP, Transform.OWN_REFERENCE})


def warnings(agreement: Agreement, schema: SchemaView, ceiling: Ceiling) -> tuple[Finding, ...]:
    """One finding per combination of the (effective) ceiling that the agreement discloses whole; empty where there is none.

    What a population selects on counts as disclosed. An agency that knows its subjects anyway (by dossiers, by their
    identifier) is not warned.
    """
    if agreement.population.dossiers or any(
        field.path == schema.principal and field.transform in _KNOWS_WHO for field in agreement.fields
    ):
        return ()
    disclosed = set(_disclosed(agreement))
    return tuple(
        Finding("SMALL_CELL", group[-1], _text(group, agreement, schema))
        for group in ceiling.quasi_identifiers
        if disclosed.issuperset(group)
    )


def _disclosed(agreement: Agreement) -> Iterator[str]:
    reached = Counter(field.path for field in agreement.fields if field.transform in _AGE_REACHED)
    for field in agreement.fields:
        little = field.transform is Transform.NOTIFY_ONLY or field.transform in _AGE_REACHED
        if not little or reached[field.path] > 1:
            yield field.path
    yield from (leaf.path for leaf in leaves_of(agreement.population.where))


def _text(group: tuple[str, ...], agreement: Agreement, schema: SchemaView) -> str:
    pseudonym = any(field.path == schema.principal for field in agreement.fields)
    key = "the pseudonym" if pseudonym else "the stream's own key per subject"
    return (
        f"{', '.join(group)} together with {key} may point at one person in a small group (recital 26 GDPR): release one "
        "of them in a coarser form, or say in the DPIA why this is enough"
    )
