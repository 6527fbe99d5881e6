"""Dossiers: the files that agencies registered, as an agency keeps them.

They live in the compacted topic `subjects.dossiers` (format: `broker.control.dossier_records`), in the subject's lane.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiokafka.errors import KafkaError
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from broker.control.dossier_book import AgencyFiles
from broker.control.dossier_records import encode
from broker.control.keys import LANE, KeyStore, agreement_key
from broker.control.log import Clients
from broker.control.registrations import (
    KEPT,
    NAMED,
    STRANGER,
    Closing,
    Opening,
    Outcome,
    Register,
    is_open,
    names,
    refused,
)
from broker.control.subjects import Refusal, about_person, canonical_subject, read_subject
from broker.control.tail import Tail
from broker.control.views import Replayed
from broker.errors import Invalid, KafkaUnavailable, NotFound, Retriable, UnknownSubject
from broker.model import topics
from broker.model.agreement import Dossier
from broker.model.keyed import delivery_key, digest, lane_key, lane_of
from broker.model.wall import SubjectWall
from broker.stopping import stop_quietly

Known = Callable[[Collection[bytes]], Awaitable[Collection[bytes]]]
"""Of some lane keys, those whose subjects the agreement's product has a record of now."""

_WRITE_S = 10.0
_BATCH = 1_000
"""Rows decided in one go: meanwhile the process answers nobody, and single registrations wait."""

_FIRST_SWEEP_S, _SWEEP_S = 60.0, 3600.0
_CURSOR_DIGITS = 32
_Row = TypeVar("_Row", Opening, Closing)


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some of an agency's files; `next` is where the following page starts, None on the last."""

    files: Sequence[Dossier]
    next: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How many files an agency has under an agreement, and how many of them are open or will be."""

    total: int
    open: int


class Dossiers:
    """Registers, ends and lists an agency's files; the answer is given once Kafka holds the change.

    Every method raises `NotFound` for another agency's agreement, and `KafkaUnavailable` when the topic cannot be read
    or did not confirm a change: asking again is safe.
    """

    def __init__(
        self,
        clients: Clients,
        control: Replayed,
        keys: KeyStore,
        wall: SubjectWall,
        lanes: int,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        topic: str = topics.DOSSIERS,
    ) -> None:
        self._control, self._keys, self._wall = control, keys, wall
        self._lanes, self._now, self._topic = lanes, now, topic
        self._files = AgencyFiles()
        self._producer = clients.producer()
        self.log = Tail(clients.consumer(None), topic, range(lanes), self._files.apply)
        """What is read for the files; others that live in the same topic take their records from it too."""
        self._writing = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read every lane's files, and forget from now on those that ended long ago; raises `KafkaUnavailable`."""
        try:
            await self._producer.start()
        except KafkaError as error:
            raise KafkaUnavailable("Kafka does not answer", operator=type(error).__name__) from error
        await self.log.start()
        self._sweeping = asyncio.create_task(self._sweep(), name="dossiers-forget")

    async def close(self) -> None:
        """Give up the clients."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await stop_quietly(self._producer)
        await self.log.close()

    async def add(
        self,
        agreement: str,
        agency: str,
        *,
        subject: str,
        capacity: str,
        reference: str,
        begin: datetime | None,
        end: datetime | None,
        known: Known | None = None,
    ) -> str:
        """`registered` or `already`, by the rules of `Register.open`.

        Raises `Invalid` for a subject that the agreement's product cannot have, without repeating it, and for a period
        that does not end after it begins; with `known`, `UnknownSubject` for one that it does not know.
        """
        row = Opening(subject, reference, capacity, begin, end)
        (outcome,) = await self.add_many(agreement, agency, [row], known=known)
        return _single(outcome)

    async def end(self, agreement: str, agency: str, *, subject: str, reference: str, end: datetime | None) -> str:
        """`ended` or `already`, by the rules of `Register.close`; raises `NotFound` without such a file, `Invalid` as `add`."""
        (outcome,) = await self.end_many(agreement, agency, [Closing(subject, reference, end)])
        return _single(outcome)

    def stream_key(self, agreement: str, agency: str, subject: str) -> bytes:
        """Key of a subject in the agreement's stream; raises `Invalid` as `add`."""
        document = self._document(agreement, agency)
        canonical = canonical_subject(self._control.state, document, self._wall, subject)
        key = lane_key(self._keys.get(LANE), canonical.encode())
        return delivery_key(self._keys.get(agreement_key(agreement)), key)

    async def add_many(
        self, agreement: str, agency: str, rows: Sequence[Opening], *, known: Known | None = None
    ) -> Sequence[Outcome]:
        """The outcome of each row in order, as `add` would give it; a row that says again what one before it did is `already`.

        With `known`, a subject that it does not know is `unknown` and not registered. A failure (also one that `known`
        raises) may come after some rows were registered: the same rows again are `already`.
        """
        return await self._change(agreement, agency, rows, Register.open, known)

    async def end_many(self, agreement: str, agency: str, rows: Sequence[Closing]) -> Sequence[Outcome]:
        """The outcome of each row in order, as `end` would give it; a file that is not there is `unknown`."""
        return await self._change(agreement, agency, rows, Register.close)

    async def page(self, agreement: str, agency: str, after: str | None = None, *, limit: int = 500) -> FilePage:
        """Some `limit` of the agency's files (all of one subject's together), from after the cursor on, in no order.

        Whatever is not registered, ended or forgotten meanwhile comes exactly once. Raises `Invalid` for a cursor that is
        none of this agreement's.
        """
        self._document(agreement, agency)
        cipher = self._cursors(agreement)
        start = b"" if after is None else _read_cursor(cipher, after)
        await self.log.read_to_head()
        files = self._files.page(agreement, start, limit)
        return FilePage(files, _cursor(cipher, files[-1].key) if len(files) >= limit else None)

    async def standing(self, agreement: str, agency: str) -> Standing:
        """The numbers of the agency's files now."""
        self._document(agreement, agency)
        await self.log.read_to_head()
        total, opened, now = 0, 0, self._now()
        for book in list(self._files.under(agreement)):
            total, opened = total + book.count, opened + book.open_at(now)
            await asyncio.sleep(0)
        return Standing(total, opened)

    async def forget(self) -> int:
        """Forget all files that ended 30 days ago (design §4), whoever's they are; returns how many.

        Their lanes have told that the subjects left, unless they stood still all that time.
        """
        await self.log.read_to_head()
        before, due = self._now() - KEPT, list[bytes]()
        for book in self._files.books():
            due += book.past(before)
            await asyncio.sleep(0)
        await self._erase(due)
        return len(due)

    async def move(self, from_agreement: str, to_agreement: str) -> int:
        """Copy the open files of one agreement to another, as a merger's successor takes them over; they count from now on.

        Returns how many were not there yet; asked again, it copies only those.
        """
        await self.log.read_to_head()
        copied, now = 0, self._now()
        for book in list(self._files.under(from_agreement)):
            files = [file for subject in book.subjects() for file in book.of(subject) if is_open(file, now)]
            async with self._writing:
                register = self._register(to_agreement)
                for file in files:
                    register.open(file.key, Opening("", file.reference, file.capacity, file.begin, file.end))
                await self._save(register)
            copied += len(register.changed)
        return copied

    async def follow(self, agreement: str, old: bytes, new: bytes) -> int:
        """Have the files on a subject (by lane key) be on the one that replaced it; returns how many of them are open."""
        k_lane = self._keys.get(LANE)
        async with self._writing:
            await self.log.read_to_head()
            files, now = self._files.of(agreement, old), self._now()
            moved = [replace(file, key=new, registered=now) for file in files if is_open(file, now)]
            await self._write(encode(file, k_lane) for file in moved)
            await self._write((encode(file, k_lane)[0], None) for file in files)
        return len(moved)

    async def drop(self, agreement: str) -> int:
        """Forget every file under an agreement that has stopped; returns how many there were."""
        await self.log.read_to_head()
        keys = [key for book in self._files.under(agreement) for key in book.record_keys()]
        await self._erase(keys)
        return len(keys)

    async def _sweep(self) -> None:
        await asyncio.sleep(_FIRST_SWEEP_S)
        while True:
            with suppress(Retriable):  # what is still there is forgotten the next time
                await self.forget()
            await asyncio.sleep(_SWEEP_S)

    async def _change(
        self,
        agreement: str,
        agency: str,
        rows: Sequence[_Row],
        decide: Callable[[Register, bytes, _Row], Outcome],
        known: Known | None = None,
    ) -> Sequence[Outcome]:
        document, outcomes = self._document(agreement, agency), list[Outcome]()
        person, k_lane = about_person(self._control.state, document), self._keys.get(LANE)
        for start in range(0, len(rows), _BATCH):
            asked = [(row, self._key(row, k_lane, person=person)) for row in rows[start : start + _BATCH]]
            keys = {key for _, key in asked if isinstance(key, bytes)}
            found = keys if known is None or not keys else await known(keys)
            async with self._writing:
                await self.log.read_to_head()
                register = self._register(agreement)
                for row, key in asked:
                    if isinstance(key, Outcome):
                        outcomes.append(key)
                    else:
                        outcomes.append(decide(register, key, row) if key in found else STRANGER)
                await self._save(register)
        return outcomes

    def _key(self, row: Opening | Closing, k_lane: bytes, *, person: bool) -> bytes | Outcome:
        """Lane key of the row's subject, or the outcome of a row that cannot be taken."""
        subject = read_subject(row.subject, person=person, wall=self._wall)
        if isinstance(subject, Refusal):
            return refused(subject)
        if person and isinstance(row, Opening) and names(row.reference, subject):
            return NAMED
        return lane_key(k_lane, subject.encode())

    def _register(self, agreement: str) -> Register:
        return Register(agreement, lambda key: self._files.of(agreement, key), self._now())

    async def _save(self, register: Register) -> None:
        k_lane = self._keys.get(LANE)
        await self._write(encode(file, k_lane) for file in register.changed)

    async def _erase(self, keys: Sequence[bytes]) -> None:
        for start in range(0, len(keys), _BATCH):
            async with self._writing:
                await self._write((key, None) for key in keys[start : start + _BATCH])

    async def _write(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Return once all records are acknowledged and known here; the writing lock is held."""
        batches: dict[int, Any] = {}
        sent = []
        try:
            async with asyncio.timeout(_WRITE_S):
                for key, value in records:
                    lane = lane_of(key, self._lanes)
                    batch = batches.get(lane)
                    if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
                        if batch is not None:
                            sent.append(await self._producer.send_batch(batch, self._topic, partition=lane))
                        batch = batches[lane] = self._producer.create_batch()
                        batch.append(key=key, value=value, timestamp=None)
                for lane, batch in batches.items():
                    sent.append(await self._producer.send_batch(batch, self._topic, partition=lane))
                for acknowledged in sent:
                    await acknowledged
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable("the registration was not confirmed", operator=type(error).__name__) from error
        if sent:
            await self.log.read_to_head()

    def _document(self, agreement: str, agency: str) -> Mapping[str, Any]:
        entry = self._control.state.agreements.get(agreement)
        if entry is None or entry.document["agency"] != agency:
            raise NotFound("no such agreement of this agency")
        return entry.document

    def _cursors(self, agreement: str) -> Cipher[ECB]:
        """What turns a lane key into a cursor: a lane key stays in the broker, where alone it tells who is who."""
        key = digest(self._keys.get(LANE), b"dossier-cursor", agreement.encode())
        return Cipher(AES(key), ECB())  # noqa: S305 - one block under a key of its own is a permutation, which is meant


def _single(outcome: Outcome) -> str:
    if outcome.status == "invalid":
        raise Invalid(outcome.problem or "")
    if outcome.status == "unknown":
        raise (UnknownSubject if outcome is STRANGER else NotFound)(outcome.problem or "")
    return outcome.status


def _cursor(cipher: Cipher[ECB], subject: bytes) -> str:
    return cipher.encryptor().update(bytes.fromhex(subject.decode())).hex()


def _read_cursor(cipher: Cipher[ECB], text: str) -> bytes:
    """Lane key behind a cursor; any 32 digits are the cursor of some."""
    try:
        block = bytes.fromhex(text if len(text) == _CURSOR_DIGITS else "-")
    except ValueError:
        raise Invalid("the cursor is `next` of an earlier page of this list") from None
    return cipher.decryptor().update(block).hex().encode()
