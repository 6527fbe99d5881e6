"""Whom a batch is about, and which of its records have the same past and present."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from broker.model.keyed import DIGEST_BYTES
from broker.native.admission import Admitted, Columns
from broker.native.library import NONE, Core, Numbers, Past, Subjects, address

_KEPT_BYTES = 16


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
    """Records alike: values before and after (None: there are none), when they were told, index of the kind, how many."""

    before: bytes | None
    at: int
    after: int | None
    """Number of the combination."""
    kind: int
    records: int


@dataclass(frozen=True, slots=True)
class Followed:
    """`of`: each record's group. `kept`: by subject, the instant and offset to be kept, as bytes, and the combination or None."""

    of: bytearray
    groups: Sequence[Group]
    kept: Sequence[tuple[bytes, int | None]]


def subjects(core: Core, batch: Columns, admitted: Admitted) -> Whom:
    """Tell subjects apart; where one record of a subject is to be asked about, all of its are, and it is left out."""
    records = len(batch.offsets)
    numbers, keys = bytearray(4 * records), bytearray(DIGEST_BYTES * records)
    found = core.subjects(
        Subjects(
            records=records,
            verdicts=address(batch.verdicts),
            packed_keys=address(admitted.packed_keys),
            subjects=address(numbers),
            keys=address(keys),
        )
    )
    return Whom(numbers, list(_cut(bytes(keys), DIGEST_BYTES, found)))


def follow(
    core: Core,
    batch: Columns,
    admitted: Admitted,
    whom: Whom,
    known: Sequence[tuple[bytes, bytes]],
    blobs: Sequence[bytes],
    instants: Numbers,
    told: Told,
    now: int,
) -> Followed:
    """Follow each subject through the batch, from what is `known` of it (packed key and entry, in order).

    `blobs`: the values of each combination as an entry has them. Between two of `instants` it makes no difference when a
    subject was told.
    """
    records, count = len(batch.offsets), len(whom.keys)
    keys, found_keys = b"".join(whom.keys), b"".join(key for key, _ in known)
    entries = b"".join(entry for _, entry in known)
    entry_ends = array("Q", accumulate(len(entry) for _, entry in known))
    joined, blob_ends = b"".join(blobs), array("Q", accumulate(map(len, blobs)))
    of, kinds_of, at_of = bytearray(4 * records), bytearray(records), bytearray(8 * records)
    before, after, times = bytearray(4 * records), bytearray(4 * records), bytearray(4 * records)
    former, kept, kept_values = bytearray(4 * len(known)), bytearray(_KEPT_BYTES * count), bytearray(4 * count)
    found = core.follow(
        Past(
            records=records,
            verdicts=address(batch.verdicts),
            subjects=address(whom.numbers),
            combinations=address(admitted.combinations),
            kinds=address(batch.kinds),
            offsets=address(batch.offsets),
            now=now,
            next=told.next,
            next_at=told.next_at,
            whole=told.whole,
            whole_at=told.whole_at,
            instants=address(instants),
            instants_count=len(instants),
            subjects_count=count,
            subject_keys=address(keys),
            found_count=len(known),
            found_keys=address(found_keys),
            entries=address(entries),
            entry_ends=address(entry_ends),
            combination_count=len(blobs),
            blobs=address(joined),
            blob_ends=address(blob_ends),
            groups=address(of),
            group_before=address(before),
            group_at=address(at_of),
            group_after=address(after),
            group_kind=address(kinds_of),
            group_records=address(times),
            former=address(former),
            kept=address(kept),
            kept_values=address(kept_values),
        )
    )
    formers = memoryview(former).cast("I")

    def values(number: int) -> bytes | None:
        if number == NONE:
            return None
        if number < len(blobs):
            return blobs[number]
        return known[formers[number - len(blobs)]][1][_KEPT_BYTES:]

    numbers = zip(
        memoryview(before).cast("I")[:found],
        memoryview(at_of).cast("q")[:found],
        memoryview(after).cast("I")[:found],
        kinds_of[:found],
        memoryview(times).cast("I")[:found],
        strict=True,
    )
    groups = [Group(values(was), at, None if now_ == NONE else now_, kind, n) for was, at, now_, kind, n in numbers]
    last = (None if number == NONE else number for number in memoryview(kept_values).cast("I"))
    return Followed(of, groups, list(zip(_cut(bytes(kept), _KEPT_BYTES, count), last, strict=True)))


def _cut(joined: bytes, size: int, number: int) -> Iterator[bytes]:
    return (joined[at : at + size] for at in range(0, number * size, size))
