"""Pseudonyms of one agency for one purpose: which key epoch they are of, a new one, and the map that keeps continuity.

An epoch is the number in its key's name, from 1 on; a rotation is a fact, after which every router makes the new ones. The
map holds the subjects of an agreement's population as it is decided now, so that it tells its agency of nobody else.
"""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from broker.control import keys, views
from broker.control.keys import KeyStore
from broker.control.pseudonym_map import Scope, public_key, sealed
from broker.errors import Conflict, Invalid, NotFound, Stale
from broker.model.agreement import Agreement, State, Transform
from broker.model.facts import FactType
from broker.model.keyed import pseudonym
from broker.policy import documents


class Control(views.Control, Protocol):
    """The replayed control log, its writer, and whether it keeps up."""

    def fresh(self) -> bool:
        """Whether this process keeps up with the control log (design R6)."""


class Population(Protocol):
    """Reader of an agreement's population; `broker.routing.pseudonymised` behind it."""

    async def identifiers(self, agreement: str) -> Collection[bytes]:
        """Every identifier that the agreement would deliver as a pseudonym now, as UTF-8."""


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """Which key makes an agency's pseudonyms for a purpose: its epoch, and the agreements that have them."""

    agency: str
    purpose: str
    epoch: int
    agreements: tuple[str, ...]


class Pseudonyms:
    """Use-cases over the control log; each raises `NotFound` for an agreement without pseudonyms."""

    def __init__(self, control: Control, key_store: KeyStore, population: Population) -> None:
        self._control = control
        self._keys = key_store
        self._population = population

    def key_of(self, agreement: str) -> PseudonymKey:
        """The key behind this agreement's pseudonyms."""
        value = self._agreement(agreement)
        state = self._control.state
        sharing = (
            name
            for name, entry in state.agreements.items()
            if (entry.document["agency"], entry.document["purpose"]) == (value.agency, value.purpose)
            and _pseudonymises(documents.agreement(entry.document))
        )
        epoch = state.pseudonym_epoch(value.agency, value.purpose)
        return PseudonymKey(value.agency, value.purpose, epoch, tuple(sorted(sharing)))

    def seal_key(self) -> str:
        """Public key that maps are sealed with, in hexadecimal."""
        return public_key(self._keys.ensure(keys.SEAL))

    async def rotate(self, agreement: str, by: str) -> PseudonymKey:
        """Make new pseudonyms from now on, under every agreement of this agency and purpose; `Conflict` if another did."""
        await self._control.read_to_head()
        known = self.key_of(agreement)
        epoch = known.epoch + 1
        self._keys.ensure(keys.pseudonym_key(known.agency, known.purpose, epoch))  # before any router asks for it
        data: dict[str, str | int] = {"agency": known.agency, "purpose": known.purpose, "epoch": epoch}
        await self._control.append(FactType.PSEUDONYM_ROTATED, f"pseudonym/{known.agency}/{known.purpose}", data, by=by)
        return self.key_of(agreement)

    async def continuity(self, agreement: str, old: int, new: int) -> Iterator[bytes]:
        """The sealed map from one epoch to a later one, in pieces, for the agency itself and nobody else.

        Raises `Invalid` for epochs that are not, `Conflict` unless the agreement is active, before as after its
        population was read, and `Stale` where that cannot be known.
        """
        await self._control.read_to_head()
        known = self._active(agreement)
        if not 1 <= old < new <= known.epoch:
            raise Invalid(f"from and to: a map goes from an epoch to a later one; the present one is {known.epoch}")
        old_key, new_key = (
            self._keys.get(keys.pseudonym_key(known.agency, known.purpose, epoch)) for epoch in (old, new)
        )
        identifiers = await self._population.identifiers(agreement)
        pairs = await asyncio.to_thread(
            lambda: [(pseudonym(old_key, each), pseudonym(new_key, each)) for each in identifiers]
        )
        await self._control.read_to_head()
        self._active(agreement)
        if not self._control.fresh():
            raise Stale("the broker cannot see its control log: nothing is released now")
        return sealed(Scope(known.agency, known.purpose, old, new), pairs, self._keys.ensure(keys.SEAL))

    def _active(self, agreement: str) -> PseudonymKey:
        known = self.key_of(agreement)
        state = self._control.state.agreements[agreement].state
        if state is not State.ACTIVE:
            raise Conflict(f"{agreement} is {state.value}: its agency gets nothing under it now")
        return known

    def _agreement(self, agreement: str) -> Agreement:
        entry = self._control.state.agreements.get(agreement)
        value = None if entry is None else documents.agreement(entry.document)
        if value is None or not _pseudonymises(value):
            raise NotFound("no such agreement with pseudonyms")
        return value


def _pseudonymises(agreement: Agreement) -> bool:
    return any(released.transform is Transform.PSEUDONYM for released in agreement.fields)
