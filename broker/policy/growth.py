"""What a new version of a product adds, and to whom: to nobody, until an agreement names it under a ceiling (default deny).

A product's schema never changes; its growth is a new version, declared beside the old one. No agreement is on the new
version yet, and the compiled deliveries of the old one stay as they are. What is reported is which agreements could be
amended to ask for each new field, and which could only once the owner has widened the ceiling of their purpose.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from broker.errors import Invalid
from broker.model.agreement import Agreement, FieldClass, Transform
from broker.policy.limits import Limits, effective_ceiling
from broker.schema.avro import Schema


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agreement that could come to ask for a field: as `transforms`, none of them before the owner widens its ceiling."""

    agreement: str
    agency: str
    purpose: str
    transforms: frozenset[Transform]


@dataclass(frozen=True, slots=True)
class NewField:
    """A leaf that the old version does not have; nobody receives it."""

    path: str
    field_class: FieldClass
    reveals: str | None
    doc: str
    candidates: tuple[Candidate, ...]

    @property
    def may_ask(self) -> tuple[Candidate, ...]:
        """Agreements that may ask for it as the ceilings are."""
        return tuple(candidate for candidate in self.candidates if candidate.transforms)

    @property
    def owner_first(self) -> tuple[Candidate, ...]:
        """Agreements that may not, until the owner widens the ceiling of their purpose."""
        return tuple(candidate for candidate in self.candidates if not candidate.transforms)


def growth(
    old: Schema, new: Schema, *, source: str, agreements: Iterable[Agreement], limits: Limits
) -> tuple[NewField, ...]:
    """The leaves of `new` that `old` lacks, in the schema's order, each with the agreements on `old` in order of id.

    `agreements` are those in force; others than the source's on the old product are passed over. Ceilings are those of
    the new product. Raises `Invalid` where the two are not versions of one record type.
    """
    if _stem(old.product) != _stem(new.product):
        raise Invalid(f"{new.product} is not another version of {old.product}: name two versions of one record type")
    concerned = sorted(
        (each for each in agreements if (each.source, each.product) == (source, old.product)), key=lambda each: each.id
    )
    allowed = {
        purpose: effective_ceiling(limits.purposes, limits.ceilings, source, new.product, purpose).fields
        for purpose in {each.purpose for each in concerned}
        if purpose in limits.purposes.by_code
    }

    def candidate(agreement: Agreement, path: str) -> Candidate:
        granted = allowed.get(agreement.purpose, {}).get(path)
        transforms = granted.transforms if granted is not None else frozenset[Transform]()
        return Candidate(agreement.id, agreement.agency, agreement.purpose, transforms)

    return tuple(
        NewField(path, leaf.field_class, leaf.reveals, leaf.doc, tuple(candidate(each, path) for each in concerned))
        for path, leaf in new.fields.items()
        if path not in old.fields
    )


def _stem(product: str) -> str:
    return product.rpartition(".v")[0]
