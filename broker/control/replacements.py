"""Replaced identities: a subject goes on under another identifier, and its files, consents and pseudonyms follow.

Only a register's owner says so: a bis number became a national number, a number was corrected. The old lane drains to a marker before the new one takes over: until it has told its agencies that the subject left, the
new identifier has none of its papers. Asked again, an interrupted replacement goes on where it stopped.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from broker.control.confirmation import Confirmation
from broker.control.consents import Consents
from broker.control.dossiers import Dossiers
from broker.control.keys import LANE, KeyStore
from broker.control.log import Clients
from broker.control.replacement_records import NONCE_BYTES, ReplacementBook, replaced_record, replaces_record
from broker.control.subjects import canonical_subject
from broker.control.tail import Tail
from broker.control.views import Replayed
from broker.errors import Conflict, Invalid, KafkaUnavailable, NotFound, NotYetKnown
from broker.model import topics
from broker.model.keyed import lane_key, lane_of
from broker.model.wall import SubjectWall
from broker.stopping import stop_quietly

_WRITE_S = 10.0


@dataclass(frozen=True, slots=True)
class Replaced:
    """What followed: open files and consents that are now on the new identity."""

    status: str
    files: int
    consents: int


class Replacements:
    """The chains of one installation."""

    def __init__(
        self,
        clients: Clients,
        control: Replayed,
        keys: KeyStore,
        wall: SubjectWall,
        lanes: int,
        *,
        dossiers: Dossiers,
        consents: Consents,
        confirmation: Confirmation,
        random: Callable[[int], bytes] = secrets.token_bytes,
        topic: str = topics.DOSSIERS,
    ) -> None:
        self._clients, self._control, self._keys, self._wall, self._lanes = clients, control, keys, wall, lanes
        self._dossiers, self._consents, self._confirmation = dossiers, consents, confirmation
        self._random, self._topic = random, topic
        self._writing = asyncio.Lock()

    async def replace(self, source: str, product: str, *, old: str, new: str) -> Replaced:
        """`replaced`, or `already`; returns once the papers are on the new identity, and its lane will tell them.

        Raises `NotFound` for a product that the source does not offer, `Invalid` for what its records cannot be about
        (never repeating it), `Conflict` where the old one was replaced by another or the new one was replaced itself,
        `NotYetKnown` while no router has drained the old lane: ask again.
        """
        name = f"{source}/{product}"
        first, last = self._canonical(source, product, old), self._canonical(source, product, new)
        if first == last:
            raise Invalid("an identifier does not replace itself")
        k_lane = self._keys.get(LANE)
        before, after = lane_key(k_lane, first.encode()), lane_key(k_lane, last.encode())
        async with self._writing:
            book = await self._chains(k_lane)
            known = book.successors(before).get(name)
            if known not in {None, after}:
                raise Conflict("this identifier was replaced by another one already")
            if name in book.successors(after):
                raise Conflict("the new identifier was replaced itself: name the one that is valid today")
            if known is None:
                await self._write(before, *replaced_record(before, name, after, k_lane))
            await self._drained(before)
            if known is None or book.root(after, name) is None:
                root = book.root(before, name) or first.encode()
                nonce = self._random(NONCE_BYTES)
                await self._write(after, *replaces_record(after, name, before, root, k_lane, nonce))
            return await self._follow(source, product, before, after, already=known is not None)

    async def _follow(self, source: str, product: str, before: bytes, after: bytes, *, already: bool) -> Replaced:
        files = consents = 0
        for entry in list(self._control.state.agreements.values()):
            if (entry.source, entry.document["product"]) == (source, product):
                files += await self._dossiers.follow(entry.id, before, after)
                consents += await self._consents.follow(entry.id, before, after)
        return Replaced("already" if already and not files + consents else "replaced", files, consents)

    async def _chains(self, k_lane: bytes) -> ReplacementBook:
        """Read afresh: replacements are rare, and hold identifiers that nothing needs to keep in memory."""
        book = ReplacementBook(k_lane)
        tail = Tail(self._clients.consumer(None), self._topic, range(self._lanes), book.apply)
        try:
            await tail.start()
        finally:
            await tail.close()
        return book

    async def _drained(self, subject: bytes) -> None:
        lane = lane_of(subject, self._lanes)
        if not await self._confirmation.at_head(lane):
            raise NotYetKnown("no router has told the old identity's agencies yet: ask again, nothing was moved")

    async def _write(self, subject: bytes, key: bytes, value: bytes) -> None:
        producer = self._clients.producer()
        try:
            async with asyncio.timeout(_WRITE_S):
                await producer.start()
                await producer.send_and_wait(self._topic, value=value, key=key, partition=lane_of(subject, self._lanes))
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable("the replacement was not confirmed", operator=type(error).__name__) from error
        finally:
            await stop_quietly(producer)

    def _canonical(self, source: str, product: str, text: str) -> str:
        if (source, product) not in self._control.state.products:
            raise NotFound("no such product of this source")
        return canonical_subject(self._control.state, {"source": source, "product": product}, self._wall, text)
