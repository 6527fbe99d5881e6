"""Whom a batch is about, and which of its records have the same past and present."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from broker.model.keyed import DIGEST_BYTES
from broker.native.admission import Admitted, Door
from broker.native.library import NONE, Core, Keeping, Numbers, Past, Subjects, filled
from broker.native.unpacking import Columns

KEPT_BYTES = 16
"""Of an entry, before the values."""

Row = tuple[bytes, bytes]
"""Packed key and entry of a subject, as a lane keeps them."""


@dataclass(frozen=True, slots=True)
class Whom:
    """The subjects of a batch that need not be asked about: of each record its number, and their packed keys in order."""

    numbers: bytearray
    keys: Sequence[bytes]


class Told(NamedTuple):
    """How far subjects were told of otherwise: who lies before an offset, at that instant (`routing.backfill.Reach`)."""

    next: int
    next_at: int
    whole: int
    whole_at: int


class Group(NamedTuple):
    """Records alike: when they were told, index of the kind, how many; and their values, as far as decisions look at them."""

    before: bytes | None
    """Values of an entry, or None and a record with them, or -1."""
    before_record: int
    at: int
    after: int
    """A record with the values, or -1."""
    kind: int
    records: int


@dataclass(frozen=True, slots=True)
class Followed:
    """Each record's group, the groups, and what is to be kept of every subject."""

    of: bytearray
    groups: Sequence[Group]
    rows: Sequence[Row]


def subjects(core: Core, batch: Columns, admitted: Admitted) -> Whom:
    """Tell subjects apart; where one record of a subject is to be asked about, all of its are, and it is left out."""
    records = batch.records
    numbers, keys = bytearray(4 * records), bytearray(DIGEST_BYTES * records)
    structure = filled(
        Subjects,
        records=records,
        verdicts=batch.verdicts,
        packed_keys=admitted.packed_keys,
        subjects=numbers,
        keys=keys,
    )
    found, joined = core.subjects(structure), bytes(keys)
    return Whom(numbers, [joined[at : at + DIGEST_BYTES] for at in range(0, found * DIGEST_BYTES, DIGEST_BYTES)])


def follow(
    core: Core,
    through: Door,
    batch: Columns,
    admitted: Admitted,
    whom: Whom,
    known: Sequence[Row],
    instants: Numbers,
    told: Told,
    now: int,
    *,
    ended: int,
) -> Followed:
    """Follow each subject through the batch, from what is `known` of it, in the order of the keys.

    Between two of `instants` it makes no difference when a subject was told. `ended`: index of a deletion's kind.
    """
    records, subjects_ = batch.records, len(whom.keys)
    of, at, kinds = bytearray(4 * records), bytearray(8 * records), bytearray(records)
    before, after, times = (bytearray(4 * records) for _ in range(3))
    former = bytearray(4 * len(known))
    past = filled(
        Past,
        admission=admitted.structure,
        subjects=whom.numbers,
        offsets=batch.offsets,
        ended=ended,
        selected_count=len(through.selected),
        selected=through.selected,
        asked=through.asked,
        now=now,
        next=told.next,
        next_at=told.next_at,
        whole=told.whole,
        whole_at=told.whole_at,
        instants=instants,
        instants_count=len(instants),
        subjects_count=subjects_,
        keys=b"".join(whom.keys),
        found_count=len(known),
        found_keys=b"".join([key for key, _ in known]),
        entries=b"".join([entry for _, entry in known]),
        entry_ends=array("Q", accumulate(len(entry) for _, entry in known)),
        firsts=admitted.firsts,
        combinations_count=admitted.combinations,
        groups=of,
        group_before=before,
        group_at=at,
        group_after=after,
        group_kind=kinds,
        group_records=times,
        former=former,
        last=bytearray(4 * subjects_),
        kept=bytearray(KEPT_BYTES * subjects_),
    )
    found = core.follow(past)
    firsts, formers, combinations = admitted.first_records, memoryview(former).cast("I"), admitted.combinations
    numbers = zip(
        memoryview(before).cast("I")[:found],
        memoryview(at).cast("q")[:found],
        memoryview(after).cast("I")[:found],
        kinds[:found],
        memoryview(times).cast("I")[:found],
        strict=True,
    )
    groups = [
        Group(
            known[formers[was - combinations]][1][KEPT_BYTES:] if combinations <= was < NONE else None,
            firsts[was] if was < combinations else -1,
            told_at,
            -1 if now_ == NONE else firsts[now_],
            kind,
            number,
        )
        for was, told_at, now_, kind, number in numbers
    ]
    return Followed(of, groups, list(zip(whom.keys, _kept(core, past, subjects_), strict=True)))


def _kept(core: Core, past: Past, subjects_: int) -> Iterator[bytes]:
    room, ends = bytearray(past.kept_bytes), bytearray(8 * subjects_)
    core.keep(filled(Keeping, past=past, room=room, ends=ends))
    whole = bytes(room)
    return (whole[begin:end] for begin, end in pairwise(chain((0,), memoryview(ends).cast("Q"))))
