"""Consents: subjects agree to an agreement that asks them to, for all its fields or some, and take it back (art. 7 GDPR).

The agency that asked keeps the proof and registers consents under its own reference; a representative may give one.
They live beside the files in `subjects.dossiers` (format: `broker.control.consent_records`), in the subject's lane.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from aiokafka.errors import KafkaError

from broker.control.confirmation import Confirmation
from broker.control.consent_records import ConsentBook, encode_consent
from broker.control.keys import LANE, KeyStore
from broker.control.log import Clients
from broker.control.subjects import canonical_subject
from broker.control.tail import Tail
from broker.control.views import Replayed
from broker.errors import Conflict, Invalid, KafkaUnavailable, NotFound
from broker.model import topics
from broker.model.agreement import Consent, GivenBy
from broker.model.keyed import lane_key, lane_of
from broker.model.lifecycle import AgreementEntry
from broker.model.wall import SubjectWall
from broker.policy import documents
from broker.schema.narrowing import can_leave_out
from broker.stopping import stop_quietly

_WRITE_S = 10.0


class Consents:
    """Grants, narrows, withdraws and lists; every method raises `NotFound` for another agency's agreement.

    `log` reads the topic of the papers, and is started by its owner. A change is answered once Kafka holds it; `settled` tells then whether the subject's lane has acted on it.
    """

    def __init__(
        self,
        clients: Clients,
        control: Replayed,
        keys: KeyStore,
        wall: SubjectWall,
        lanes: int,
        confirmation: Confirmation,
        log: Tail,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        topic: str = topics.DOSSIERS,
    ) -> None:
        self._control, self._keys, self._wall = control, keys, wall
        self._lanes, self._now, self._topic = lanes, now, topic
        self._confirmation = confirmation
        self._book = ConsentBook()
        self._producer = clients.producer()
        self._log = log
        log.also(self._book.apply)
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Be able to write; whoever owns the log reads it. Raises `KafkaUnavailable`."""
        try:
            await self._producer.start()
        except KafkaError as error:
            raise KafkaUnavailable("Kafka does not answer", operator=type(error).__name__) from error

    async def close(self) -> None:
        """Give up the client."""
        await stop_quietly(self._producer)

    async def grant(
        self,
        agreement: str,
        agency: str,
        *,
        subject: str,
        reference: str,
        given_by: GivenBy,
        begin: datetime | None,
        end: datetime | None,
        fields: Sequence[str] | None,
    ) -> tuple[str, bool]:
        """`granted`, `changed` where it is now given to other fields or for another period, or `already`; and if settled.

        It counts from now on at the earliest. Raises `Invalid` for a subject that the product cannot have, without
        repeating it, a period that does not end after it begins, and fields that cannot be chosen or left out.
        """
        entry = self._entry(agreement, agency)
        limited = self._fields(entry, fields)
        key, now = self._subject(entry, subject), self._now()
        begin, end = _utc(begin) or now, _utc(end)
        if end is not None and end <= max(begin, now):
            raise Invalid("a consent ends after it begins, and not in the past")
        async with self._writing:
            await self._log.read_to_head()
            held = self._held(key, agreement, reference)
            if held is not None and not _ended(held, now):
                changed = replace(held, fields=limited, end=end, given_by=given_by)
                if changed == held:
                    return "already", True
                status, position = "changed", await self._write(changed)
            else:
                consent = Consent(agreement, key, max(begin, now), end, now, limited, reference, given_by)
                status, position = "granted", await self._write(consent)
        return status, await self._settled(key, position)

    async def withdraw(
        self, agreement: str, agency: str, *, subject: str, reference: str, end: datetime | None
    ) -> tuple[str, bool]:
        """`withdrawn` or `already`; and if settled: then nothing of this subject follows in the agreement's stream.

        `end` may lie in the past: what was delivered since is taken back by the departure. Raises `NotFound` without such
        a consent.
        """
        entry = self._entry(agreement, agency)
        key, now = self._subject(entry, subject), self._now()
        async with self._writing:
            await self._log.read_to_head()
            held = self._held(key, agreement, reference)
            if held is None:
                raise NotFound("there is no consent with this reference of this subject")
            last = max(min(_utc(end) or now, now), held.begin)
            if held.end is not None and held.end <= last:
                return "already", True
            position = await self._write(replace(held, end=last))
        return "withdrawn", await self._settled(key, position)

    async def list(self, agreement: str, agency: str) -> Sequence[Consent]:
        """All consents to the agreement, ended ones too, in no order."""
        self._entry(agreement, agency)
        await self._log.read_to_head()
        return self._book.under(agreement)

    async def follow(self, agreement: str, old: bytes, new: bytes) -> int:
        """Have the consents of a subject (by lane key) be those of the one that replaced it; returns how many hold."""
        async with self._writing:
            await self._log.read_to_head()
            now = self._now()
            held = [each for each in self._book.of(old) if each.agreement == agreement]
            moved = [replace(each, key=new, registered=now) for each in held if not _ended(each, now)]
            for consent in moved:
                await self._write(consent)
            for consent in held:
                await self._send(consent.key, encode_consent(consent, self._keys.get(LANE))[0], None)
        return len(moved)

    def _fields(self, entry: AgreementEntry, chosen: Sequence[str] | None) -> frozenset[str] | None:
        if chosen is None:
            return None
        released = {field.key for field in documents.agreement(entry.document).fields}
        if not chosen or not released.issuperset(chosen):
            raise Invalid("fields: choose among the released fields of the agreement, by path or name; or withdraw")
        egress = self._control.state.schemas[entry.egress_schema_id or 0].text
        fixed = sorted(key for key in released.difference(chosen) if not can_leave_out(egress, key))
        if fixed:
            raise Invalid(f"fields: {', '.join(fixed)} cannot be left out: they are in every record; or withdraw")
        return None if released == set(chosen) else frozenset(chosen)

    def _held(self, key: bytes, agreement: str, reference: str) -> Consent | None:
        own = (each for each in self._book.of(key) if each.agreement == agreement and each.reference == reference)
        return next(own, None)

    async def _write(self, consent: Consent) -> int:
        """The position after it in its lane, once it is acknowledged and known here."""
        return await self._send(consent.key, *encode_consent(consent, self._keys.get(LANE)))

    async def _send(self, subject: bytes, key: bytes, value: bytes | None) -> int:
        try:
            async with asyncio.timeout(_WRITE_S):
                written = await self._producer.send_and_wait(
                    self._topic, value=value, key=key, partition=lane_of(subject, self._lanes)
                )
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable("the consent was not confirmed", operator=type(error).__name__) from error
        await self._log.read_to_head()
        return int(written.offset) + 1

    async def _settled(self, key: bytes, position: int) -> bool:
        return await self._confirmation.reached(lane_of(key, self._lanes), position)

    def _entry(self, agreement: str, agency: str) -> AgreementEntry:
        entry = self._control.state.agreements.get(agreement)
        if entry is None or entry.agency != agency:
            raise NotFound("no such agreement of this agency")
        if not entry.document.get("population", {}).get("consent", False):
            raise Conflict("this agreement's population asks for no consent")
        if entry.egress_schema_id is None:
            raise Conflict("this agreement is not published yet: consent is given to what was agreed")
        return entry

    def _subject(self, entry: AgreementEntry, text: str) -> bytes:
        """Lane key of a subject as the agreement's product identifies it."""
        canonical = canonical_subject(self._control.state, entry.document, self._wall, text)
        return lane_key(self._keys.get(LANE), canonical.encode())


def _ended(consent: Consent, now: datetime) -> bool:
    return consent.end is not None and consent.end <= now


def _utc(at: datetime | None) -> datetime | None:
    try:
        return at and at.astimezone(UTC)
    except OverflowError:
        raise Invalid("an instant lies in the years 1 to 9999") from None
