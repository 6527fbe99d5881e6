"""An agreement's document carried over to another product of its source: a new agreement, and what in it needs a decision."""

from dataclasses import dataclass, replace

from broker.model.agreement import Agreement
from broker.policy.succession import Ground, Reason, grounds_of_fields, moved, names
from broker.schema.avro import Schema
from broker.schema.compatibility import version_of


@dataclass(frozen=True, slots=True)
class Migration:
    """The first version of the agreement on the other product, and why some of its fields need a decision.

    A released field that is absent there was left out of it; one that the population tests is still named, and refused by
    the static check until somebody decides.
    """

    agreement: Agreement
    undecided: tuple[Ground, ...]


def migrated(agreement: Agreement, old: Schema, new: Schema, *, identifier: str | None = None) -> Migration:
    """The agreement on `new`, under another id; renamed fields are followed, title, term and conditions stay as they are."""
    carried = moved(agreement, new.product, names(old, new))
    undecided = tuple(
        each for each in grounds_of_fields(agreement, old, new) if each.reason is not Reason.FIELD_RENAMED
    )
    absent = {each.path for each in undecided if each.reason is Reason.FIELD_ABSENT}
    fields = tuple(released for released in carried.fields if released.path not in absent)
    name = identifier or _following(agreement.id, old.product, new.product)
    return Migration(replace(carried, id=name, version=1, fields=fields), undecided)


def _following(agreement: str, old: str, new: str) -> str:
    """Its id and the version's number, or the whole product where that is of another type."""
    (stem, _), (other, number) = version_of(old), version_of(new)
    return f"{agreement}-v{number}" if stem == other else f"{agreement}-{new.replace('.', '-')}"
