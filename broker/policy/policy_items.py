"""What a plan of policies is made of: a reviewed folder, the control log as one reader sees it, and the lines between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from broker.model.agreement import Agreement, Ceiling, State
from broker.model.purpose import Purpose, Purposes
from broker.model.registered import Organisation
from broker.policy.findings import Finding
from broker.policy.limits import Ceilings
from broker.schema.avro import Schema

OPERATOR = "operator"
"""Whose credential organisations and purposes take."""


class Kind(StrEnum):
    """What a document is about, in the order in which a plan is carried out."""

    ORGANISATION = "organisation"
    PURPOSE = "purpose"
    CEILING = "ceiling"
    AGREEMENT = "agreement"


class Action(StrEnum):
    """What the folder means for the log: `gone` is held by the log only, `refused` cannot be carried out as it is."""

    CREATE = "create"
    CHANGE = "change"
    UNCHANGED = "unchanged"
    GONE = "gone"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a plan.

    `by` is the organisation whose credential carries it out, `file` the document in the folder, `note` its state and what
    it waits for, `document` what is sent.
    """

    kind: Kind
    name: str
    action: Action
    file: str | None = None
    by: str | None = None
    note: str = ""
    findings: tuple[Finding, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The folder: each document with its file; `unreadable` are files that hold none, `schemas` those of its products.

    `whole` false: some documents only, so that what is absent is not gone.
    """

    organisations: Mapping[Organisation, str] = field(default_factory=dict)
    purposes: tuple[str, Purposes] | None = None
    ceilings: tuple[tuple[str, Ceiling], ...] = ()
    agreements: tuple[tuple[str, Agreement], ...] = ()
    unreadable: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    offered: frozenset[tuple[str, str]] = frozenset()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class HeldVersion:
    """One version of an agreement as the log has it; `agreement` None: not read, since the folder does not hold it."""

    version: int
    state: State
    source: str
    agency: str
    agreement: Agreement | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The control log, as far as the reader may see it.

    `products` are (source, product); `ceilings` by (source, product, purpose), each as it counts for that source;
    `agreements` every version in force or in negotiation. `reader` None sees all, else only its own agreements.
    """

    organisations: Mapping[str, Organisation]
    purposes: Mapping[str, Purpose]
    products: frozenset[tuple[str, str]]
    ceilings: Ceilings
    agreements: Mapping[str, tuple[HeldVersion, ...]]
    reader: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Items in the order in which they are carried out; `purposes` is the list to set if one of them changes."""

    items: tuple[Item, ...]
    purposes: Purposes

    def of(self, *actions: Action) -> tuple[Item, ...]:
        """The items with one of these actions."""
        return tuple(item for item in self.items if item.action in actions)

    @property
    def changes(self) -> tuple[Item, ...]:
        """What carrying it out would do."""
        return self.of(Action.CREATE, Action.CHANGE)
