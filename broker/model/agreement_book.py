"""Fold of the facts about agreements: the version in force, the one that is to replace it, and all that were before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from broker.model.agreement import State
from broker.model.lifecycle import EDITABLE, IN_FORCE, OPEN, AgreementEntry, Step, Transition, stepped
from broker.model.sharing import Shared

Register = Callable[[str, str], int]
"""Id of an egress schema, from its registry subject and its text."""


@dataclass(frozen=True, slots=True)
class Event:
    """What both parties are told of one step, in the log's order; a fact about a product is one event per agreement on it."""

    agreement: str
    version: int
    state: State
    source: str
    agency: str
    transition: Transition


@dataclass(slots=True)
class AgreementBook:
    """Agreements by id, as the facts up to now leave them; `take` is the only way to change it.

    `agreements` holds the version in force, else the latest; `amendments` the next version while one is in force;
    `events` every step taken, oldest first. Without `texts` it keeps no protocol's text.
    """

    agreements: dict[str, AgreementEntry] = field(default_factory=dict)
    amendments: dict[str, AgreementEntry] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    texts: bool = True
    _past: dict[str, dict[int, AgreementEntry]] = field(default_factory=dict)
    _shared: Shared = field(default_factory=Shared, repr=False, compare=False)

    def versions_of(self, agreement: str) -> dict[int, AgreementEntry]:
        """Every version of an agreement by number, in order; empty where there is none."""
        found = dict(self._past.get(agreement, {}))
        for entry in (self.agreements.get(agreement), self.amendments.get(agreement)):
            if entry is not None:
                found[entry.version] = entry
        return dict(sorted(found.items()))

    def next_version(self, agreement: str, step: Step) -> int | None:
        """The version that may be drafted or requested now, anew or again; None where neither may be."""
        known = self._negotiated(agreement)
        if known is None or _over(known):
            return 1 + max(self.versions_of(agreement), default=0)
        return known.version if known.state in _editable(step) else None

    def take(self, step: Step, data: Mapping[str, Any], taken: Transition, register: Register) -> bool:
        """Take one step; False where it may not be taken, and then nothing changed."""
        if step in {Step.DRAFTED, Step.REQUESTED}:
            entry = self._opened(step, data, taken, register)
        else:
            entry = self._moved(step, data, taken)
        if entry is None:
            return False
        source, agency = (str(entry.document.get(role, "")) for role in ("source", "agency"))
        self.events.append(Event(entry.id, entry.version, entry.state, source, agency, entry.history[-1]))
        return True

    def tell(self, source: str, product: str, taken: Transition) -> None:
        """Tell both parties of every agreement on a product, if it is not over, of something that changes none of them."""
        for entry in self.agreements.values():
            on = entry.document.get("source") == source and entry.document.get("product") == product
            if on and entry.state in OPEN | IN_FORCE:
                agency = str(entry.document.get("agency", ""))
                self.events.append(Event(entry.id, entry.version, entry.state, source, agency, taken))

    def _opened(
        self, step: Step, data: Mapping[str, Any], taken: Transition, register: Register
    ) -> AgreementEntry | None:
        """A version drafted or requested, anew or again: what it had gathered until then is void, its history stays."""
        document, text = data["document"], data.get("text_sha256")
        held = self.agreements.get(document["id"])
        if step is Step.REQUESTED and text is None:
            return self._requested_without_text(held, data, taken, register)
        known = self._negotiated(document["id"])
        version = self.next_version(document["id"], step)
        allowed = step is Step.DRAFTED or taken.by == document["agency"]
        if version is None or document["version"] != version or document["source"] == document["agency"] or not allowed:
            return None
        amends = held is not None and held.state in IN_FORCE
        if amends and held is not None and parties(document) != parties(held.document):
            return None
        again = known is not None and known.version == version
        entry = AgreementEntry(
            id=document["id"],
            version=version,
            state=State.DRAFT if step is Step.DRAFTED else State.REQUESTED,
            document=self._shared.document(document),
            egress_schema_id=register(f"{document['product']}-levering", data["egress"]) if text else None,
            since=taken.at,
            epoch=taken.epoch,
            text_sha256=text,
            text=data.get("text") if self.texts else None,
            history=(*(known.history if again and known else ()), taken),
        )
        if held is not None and not again and not amends:
            self._keep(held)
        (self.amendments if amends else self.agreements)[entry.id] = entry
        return entry

    def _requested_without_text(
        self, held: AgreementEntry | None, data: Mapping[str, Any], taken: Transition, register: Register
    ) -> AgreementEntry | None:
        """A request of before there were texts: every one is the next version."""
        document = data["document"]
        if held and held.state not in {State.REQUESTED, State.ENDED}:
            return None
        egress = register(f"{document['product']}-levering", data["egress"]) if data.get("egress") else None
        version = held.version + 1 if held else 1
        entry = AgreementEntry(
            document["id"], version, State.REQUESTED, document, egress, taken.at, taken.epoch, history=(taken,)
        )
        if held is not None:
            self._keep(held)
        self.agreements[entry.id] = entry
        return entry

    def _moved(self, step: Step, data: Mapping[str, Any], taken: Transition) -> AgreementEntry | None:
        identifier, version = data["id"], data.get("version")
        held, amendment = self.agreements.get(identifier), self.amendments.get(identifier)
        if held is not None and amendment is not None and version == amendment.version:
            return self._amendment_moved(held, amendment, step, data, taken)
        if held is None or version not in {None, held.version}:
            return None
        if step is Step.ACTIVATED and held.state is State.SUSPENDED:
            taken = replace(taken, type=Step.RESUMED)
        entry = stepped(held, step, data, taken)
        if entry is None:
            return None
        self.agreements[identifier] = entry
        if amendment is not None and entry.state not in IN_FORCE:  # what is stopped is not amended either
            self._keep(_stopped(amendment, entry.state, taken))
            del self.amendments[identifier]
        return entry

    def _amendment_moved(
        self, held: AgreementEntry, amendment: AgreementEntry, step: Step, data: Mapping[str, Any], taken: Transition
    ) -> AgreementEntry | None:
        """A step of the version that is to replace `held`; activated, it takes its place and its standing."""
        if step is Step.ACTIVATED:
            taken = replace(taken, type=Step.AMENDED)
        entry = stepped(amendment, step, data, taken)
        if entry is None:
            return None
        if step is Step.ACTIVATED:
            self._keep(_stopped(held, State.ENDED, taken))
            entry = replace(
                entry,
                state=held.state,
                activated_at=held.activated_at,
                amends=held.version,
                amended_epoch=taken.epoch,
            )
            self.agreements[entry.id] = entry
            del self.amendments[entry.id]
        elif entry.state is State.REVOKED:
            self._keep(entry)
            del self.amendments[entry.id]
        else:
            self.amendments[entry.id] = entry
        return entry

    def _negotiated(self, agreement: str) -> AgreementEntry | None:
        """The version that a draft or request is about: the amendment, where one version is in force."""
        held = self.agreements.get(agreement)
        return self.amendments.get(agreement) if held is not None and held.state in IN_FORCE else held

    def _keep(self, entry: AgreementEntry) -> None:
        self._past.setdefault(entry.id, {})[entry.version] = entry


def parties(document: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What an amendment cannot change: with another of these it is another agreement."""
    return document["source"], document["product"], document["agency"], document["purpose"]


def _editable(step: Step) -> frozenset[State]:
    return frozenset({State.DRAFT}) if step is Step.DRAFTED else EDITABLE


def _over(entry: AgreementEntry) -> bool:
    """Whether the next version may be drafted or requested: what ever delivered is ended for good first."""
    return entry.state is State.ENDED or (entry.state is State.REVOKED and entry.activated_at is None)


def _stopped(entry: AgreementEntry, state: State, taken: Transition) -> AgreementEntry:
    return replace(entry, state=state, since=taken.at, epoch=taken.epoch, history=(*entry.history, taken))
