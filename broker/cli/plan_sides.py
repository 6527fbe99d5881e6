"""The two sides of a plan: the reviewed folder with every document's file, and the control log as one reader sees it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from broker.cli.client import OPERATOR, Client
from broker.cli.documents import PolicyFolder, read_text
from broker.errors import Invalid
from broker.model.agreement import Agreement, Ceiling, State
from broker.model.registered import Organisation
from broker.policy import documents, limit_documents, organisations
from broker.policy.findings import Finding
from broker.policy.policy_items import Held, HeldVersion, Reviewed

_T = TypeVar("_T")


@dataclass(slots=True)
class _Reading:
    """Reads files one by one; those that are no document are kept aside with what is wrong with them."""

    folder: Path
    unreadable: dict[str, tuple[Finding, ...]] = field(default_factory=dict)

    def read(self, path: Path, reader: Callable[[str], _T]) -> tuple[str, _T] | None:
        """The file's name and what it holds; None where it is none."""
        name = str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)
        text = None
        try:
            text = read_text(path)
            return name, reader(text)
        except Invalid as error:
            faults = documents.faults(text) if text is not None and reader is documents.agreement else ()
            self.unreadable[name] = faults or (Finding("INVALID", "document", f"{error}: correct the document"),)
            return None


def reviewed(folder: PolicyFolder, only: Iterable[Path] = ()) -> Reviewed:
    """The whole folder; with `only`, just the agreements in these files."""
    files, reading = list(only), _Reading(folder.policies)
    schemas = folder.product_schemas()
    agreements = [reading.read(path, documents.agreement) for path in files or folder.agreement_files()]
    held = tuple(each for each in agreements if each is not None)
    if files:
        return Reviewed(agreements=held, unreadable=reading.unreadable, schemas=schemas, whole=False)
    members = reading.read(folder.policies / "organisations.yaml", organisations.members)
    purposes = reading.read(folder.policies / "purposes.yaml", limit_documents.purposes)
    ceilings = [
        reading.read(path, limit_documents.ceilings) for path in sorted((folder.policies / "ceilings").glob("*.yaml"))
    ]
    listed, file = (members[1], members[0]) if members else ((), "")
    return Reviewed(
        organisations={member.organisation: file for member in listed},
        purposes=purposes,
        ceilings=tuple((each[0], ceiling) for each in ceilings if each for ceiling in each[1]),
        agreements=held,
        unreadable=reading.unreadable,
        schemas=schemas,
        offered=frozenset((member.organisation.id, product) for member in listed for product in member.products),
    )


def held(broker: Client, acting: str, agreements: Iterable[Agreement]) -> Held:
    """The log as `acting` sees it; of agreements, the documents of `agreements` only."""
    listed = list(broker.every("/v1/products"))
    purposes = list(broker.every("/v1/purposes"))
    known: Mapping[str, Any] = {each["id"]: each for each in broker.every("/v1/agreements")}
    wanted = {each.id for each in agreements}
    return Held(
        organisations={each["id"]: _organisation(each) for each in broker.every("/v1/organisations")},
        purposes=limit_documents.purposes(purposes).by_code if purposes else {},
        products=frozenset((each["source"], each["id"]) for each in listed),
        ceilings={ceiling.key: ceiling for each in listed for ceiling in _ceilings(broker, each["source"], each["id"])},
        agreements={
            name: _versions(broker, name) if name in wanted else (_version(each),) for name, each in known.items()
        },
        reader=None if acting == OPERATOR else acting,
    )


def _organisation(document: Mapping[str, Any]) -> Organisation:
    return organisations.organisation(document)


def _ceilings(broker: Client, source: str, product: str) -> Iterable[Ceiling]:
    for each in broker.every(f"/v1/products/{source}/{product}/ceilings"):
        yield replace(limit_documents.ceiling(each["document"]), source=source)


def _versions(broker: Client, agreement: str) -> tuple[HeldVersion, ...]:
    """The version in force or the latest, and the one that is to replace it."""
    url = f"/v1/agreements/{agreement}"
    held = broker.get(url)
    amendment = held.get("amendment")
    return _version(held), *([_version(broker.get(url, version=amendment["version"]))] if amendment else [])


def _version(shown: Mapping[str, Any]) -> HeldVersion:
    document = shown.get("document")
    return HeldVersion(
        shown["version"],
        State(shown["state"]),
        shown["source"],
        shown["agency"],
        documents.agreement(document) if document else None,
    )
