"""An outlet turns one release into the row an agency reads and the leaf the receipt keeps.

Everything that does not depend on the record is made once per agreement version, most of it when first asked for: frames, header constants, leaf
constants. The envelope is made for its agreement (design §4): nothing in it occurs in another agreement's stream.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from broker.batches import Row
from broker.model import keyed
from broker.model.decision import Decision, Departure, Kind, Reason, Release
from broker.model.on_demand import OnDemand
from broker.model.receipt import released, withheld
from broker.model.record import CONTENT_TYPE, EVENT_NAMESPACE, Headers
from broker.native.packing import MOST_PSEUDONYMS, Cut, Told, headers
from broker.schema.guard import Offsets
from broker.schema.narrowing import leave_out
from broker.schema.projection import Projection

_SAMPLED = b"-01"


@dataclass(frozen=True, slots=True)
class Outlet:
    """Delivery side of one agreement version."""

    agreement: str
    version: int
    topic: str
    product: str
    key: bytes = field(repr=False)
    frame: bytes
    projection: Projection
    pseudonym_epoch: int | None = None
    """Of the key behind its pseudonyms; None where it has none."""
    pseudonym_key: bytes | None = field(default=None, repr=False)
    follow: Callable[[bytes, bytes], bytes] | None = None
    """Body and root identifier to the body with the root's pseudonym; None where the subject has none."""
    constants: dict[Kind, tuple[tuple[str, bytes], ...]] = field(init=False, repr=False, compare=False)
    identify: Callable[[bytes], bytes] = field(init=False, repr=False, compare=False)
    """Delivery id of a source record by its coordinates."""
    rename: Callable[[bytes], bytes] = field(init=False, repr=False, compare=False)
    """Key of a subject in this stream by its lane key."""
    release_leaves: dict[Kind, bytes] = field(init=False, repr=False, compare=False)
    withhold_leaves: dict[tuple[Reason, Kind], bytes] = field(init=False, repr=False, compare=False)
    _told: dict[tuple[Kind, Departure | None], Told] = field(init=False, repr=False, compare=False)
    _narrowed: dict[frozenset[str], Callable[[bytes], bytes]] = field(init=False, repr=False, compare=False)

    if not TYPE_CHECKING:  # else every name would be an attribute

        def __getattr__(self, name: str) -> object:
            """Make what was not asked for until now."""
            make = _MADE.get(name)
            if make is None:
                raise AttributeError(name)
            made = make(self)
            object.__setattr__(self, name, made)
            return made

    def _constants(self) -> OnDemand[Kind, tuple[tuple[str, bytes], ...]]:
        envelope = (
            ("ce_specversion", b"1.0"),
            ("ce_source", f"/agreements/{self.agreement}".encode()),
            ("ce_type", f"{EVENT_NAMESPACE}.{self.product}".encode()),
            ("ce_agreementversion", str(self.version).encode()),
            ("content-type", CONTENT_TYPE),
            *([] if self.pseudonym_epoch is None else [("ce_pseudonymepoch", str(self.pseudonym_epoch).encode())]),
        )
        return OnDemand(lambda kind: (*envelope, ("ce_kind", kind.value.encode())))

    def _release_leaves(self) -> OnDemand[Kind, bytes]:
        name, version = self.agreement, self.version
        return OnDemand(lambda kind: released(name, version, kind))

    def _withhold_leaves(self) -> OnDemand[tuple[Reason, Kind], bytes]:
        name, version = self.agreement, self.version
        return OnDemand(lambda why: withheld(name, version, *why))

    @property
    def run(self) -> int:
        """Number of its own backfill (R4): what an earlier version delivered of the same record has another delivery id."""
        return self.version if self.version > 1 else 0

    def deliver(self, decision: Release, source: "Source", batch: "Instant") -> tuple[Row, bytes]:
        """Row for the delivery topic and leaf for the receipt of one release."""
        identifier = self.identify(source.coordinates)
        identifier_hex = identifier.hex().encode()
        kind = decision.kind
        envelope: Headers = [
            *self.constants[kind],
            ("ce_id", identifier_hex),
            batch.header,
            # The delivery id is the trace id: a trace id shared by two streams would join them (ADR envelope).
            ("traceparent", b"00-" + identifier_hex + b"-" + identifier_hex[:16] + _SAMPLED),
        ]
        if kind is Kind.LEFT_POPULATION:
            envelope.append(_departure(decision.departure))
            value = None
        else:
            cut = self.projection.cut(source.value, source.offsets, batch.day, decision.reference)
            if source.root is not None and self.follow is not None:
                cut = self.follow(cut, source.root)
            if decision.without:
                cut = self._without(decision.without)(cut)
            value = self.frame + cut
        return (self.rename(source.key), value, envelope), self.release_leaves[kind] + identifier

    @property
    def cut(self) -> Cut | None:
        """Its delivery as the native core makes it; None where it cannot."""
        plain = self.projection.plain
        if plain is None or len(plain.pseudonyms) > MOST_PSEUDONYMS or (plain.pseudonyms and not self.pseudonym_key):
            return None
        return Cut(self.topic, self.frame, plain, self.pseudonym_key)

    def told(self, decision: Decision, kind: Kind) -> Told:
        """What a decision on a record of this kind makes, for a subject without papers; the twin of `deliver`."""
        if not isinstance(decision, Release):
            return Told(self.key, self.withhold_leaves[decision.reason, kind], released=False)
        return self._told[decision.kind, decision.departure]

    def _made_told(self) -> OnDemand[tuple[Kind, Departure | None], Told]:
        def told(of: tuple[Kind, Departure | None]) -> Told:
            kind, departure = of
            left = kind is Kind.LEFT_POPULATION
            first, last = headers(self.constants[kind], [_departure(departure)] if left else [])
            leaf = self.release_leaves[kind]
            return Told(self.key, leaf, released=True, cut=self.cut, first=first, last=last, valueless=left)

        return OnDemand(told)

    def _without(self, keys: frozenset[str]) -> Callable[[bytes], bytes]:
        """What leaves these fields out; the combinations in use are few."""
        if keys not in self._narrowed:
            self._narrowed[keys] = leave_out(self.projection.egress, keys)
        return self._narrowed[keys]


# What an agreement needs once something is told under it: 3 kB each, and of thousands most tell nothing for hours.
_MADE: Mapping[str, Callable[[Outlet], object]] = {
    "constants": Outlet._constants,  # noqa: SLF001 - the class's own
    "identify": lambda outlet: keyed.delivery_ids(outlet.key),
    "rename": lambda outlet: keyed.delivery_keys(outlet.key),
    "release_leaves": Outlet._release_leaves,  # noqa: SLF001
    "withhold_leaves": Outlet._withhold_leaves,  # noqa: SLF001
    "_narrowed": lambda _: {},
    "_told": Outlet._made_told,  # noqa: SLF001
}


def _departure(departure: Departure | None) -> tuple[str, bytes]:
    return "ce_reason", (departure or Departure.RECORD_CHANGED).value.encode()


class Source(NamedTuple):
    """The admitted source record that an outlet delivers from; `value` is empty for a deletion.

    A tuple, because the router makes one per record.
    """

    coordinates: bytes
    """Where the record is and in which run it is told, as `keyed.coordinates` writes it."""
    key: bytes
    value: bytes
    offsets: Offsets
    root: bytes | None = None
    """First identifier of the chain that the subject continues."""


@dataclass(frozen=True, slots=True)
class Instant:
    """A batch's decision instant: epoch milliseconds, CloudEvents time in whole seconds, and the Belgian day."""

    at_ms: int
    time: bytes
    day: str

    header: tuple[str, bytes] = field(init=False, repr=False, compare=False)
    """The envelope's time."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", ("ce_time", self.time))
