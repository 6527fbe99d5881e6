"""What an agency asks of its register of files, what it is answered, and the rules that lead from one to the other.

Pure: a batch of requests is decided over the files as they are, each request seeing what those before it changed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from broker.control.subjects import Refusal
from broker.model.agreement import Dossier

ALREADY_REGISTERED, PERIOD_INVALID, NOT_KNOWN = "40143", "20003", "30001"
"""MAGDA's codes: the registration exists; a period that ends before it begins; the source has nobody by this number."""

FORM_INVALID = "50000"
"""MAGDA's code for a message that breaks its form."""

KEPT = timedelta(days=30)
"""How long an ended file stays in the register (design §4)."""

MOST_FILES = 1_000
"""Files of one agency on one subject under one agreement: a lane looks at all of them for each of its records."""

_MARGIN = timedelta(days=1)
_NO_DIGIT = re.compile(r"[^0-9]")
_LATE = Refusal(
    PERIOD_INVALID, "this period ended a month ago and is about to be forgotten: state when the new one begins"
)
_FULL = Refusal(
    "TOO_MANY_FILES", f"there are {MOST_FILES} files on this subject already: it needs no more to be on file"
)
_NO_PERIOD = Refusal(PERIOD_INVALID, "a file ends after it begins")
_NO_INSTANT = Refusal(PERIOD_INVALID, "an instant lies in the years 1 to 9999")


@dataclass(frozen=True, slots=True)
class Opening:
    """A file to register; `begin` None is now, `end` None is open."""

    subject: str = field(repr=False)
    reference: str
    capacity: str
    begin: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """A file to end; `end` None is now."""

    subject: str = field(repr=False)
    reference: str
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request; `code` and `problem` say why nothing did, and never hold a value of it."""

    status: Literal["registered", "ended", "already", "unknown", "invalid"]
    code: str | None = None
    problem: str | None = None


def refused(refusal: Refusal) -> Outcome:
    """The outcome of a request that cannot be taken."""
    return Outcome("invalid", refusal.code, refusal.problem)


REGISTERED, ENDED = Outcome("registered"), Outcome("ended")
STRANGER = Outcome(
    "unknown",
    NOT_KNOWN,
    "the source has no record of this subject now: check the number, or register it all the same (unknown=register)",
)
NAMED = Outcome("invalid", FORM_INVALID, "the reference holds the subject's number: give one of your own")
_ALREADY, _ENDED_ALREADY = Outcome("already", ALREADY_REGISTERED), Outcome("already")
_NO_FILE = Outcome("unknown", None, "the agency holds no file with this reference on this subject")


class Register:
    """The files of one agency under one agreement while a batch is decided; `changed` are those to write, in order."""

    def __init__(self, agreement: str, held: Callable[[bytes], Sequence[Dossier]], now: datetime) -> None:
        self.changed: list[Dossier] = []
        self._agreement, self._held, self._now = agreement, held, now
        self._staged: dict[bytes, list[Dossier]] = {}

    def open(self, subject: bytes, asked: Opening) -> Outcome:
        """Register a file on the subject with this lane key, unless one with this reference is open (or will be).

        It counts from now on, whatever its begin says.
        """
        try:
            begin, end = _utc(asked.begin) or self._now, _utc(asked.end)
        except OverflowError:
            return refused(_NO_INSTANT)
        if end is not None and end <= begin:
            return refused(_NO_PERIOD)
        files = self._files(subject)
        named = [file for file in files if file.reference == asked.reference]
        same = [file for file in named if file.begin == begin]
        if any(is_open(file, self._now) for file in named) or (same and end is not None and end <= self._now):
            return _ALREADY
        refusal = _FULL if len(files) >= MOST_FILES else None
        # The record would have the key of one that another process may be forgetting now.
        if any(forgettable(file, self._now + _MARGIN) for file in same):
            refusal = _LATE
        if refusal is not None:
            return refused(refusal)
        opened = Dossier(self._agreement, subject, asked.capacity, asked.reference, begin, end, registered=self._now)
        self._change(files, same, opened)
        return REGISTERED

    def close(self, subject: bytes, asked: Closing) -> Outcome:
        """End the open files with this reference on the subject.

        An end in the past takes effect now: what was released meanwhile was released on an open file, and the lane must
        still see that to tell the agency that the subject left.
        """
        try:
            at = _utc(asked.end) or self._now
        except OverflowError:
            return refused(_NO_INSTANT)
        files = self._files(subject)
        named = [file for file in files if file.reference == asked.reference]
        if not named:
            return _NO_FILE
        outcome = _ENDED_ALREADY
        for file in named:
            last = max(at, self._now, file.begin)
            if is_open(file, self._now) and file.end != last:
                self._change(files, [file], replace(file, end=last))
                outcome = ENDED
        return outcome

    def _files(self, subject: bytes) -> list[Dossier]:
        files = self._staged.get(subject)
        if files is None:
            files = self._staged[subject] = list(self._held(subject))
        return files

    def _change(self, files: list[Dossier], replaced: Sequence[Dossier], file: Dossier) -> None:
        files[:] = [other for other in files if other not in replaced]
        files.append(file)
        self.changed.append(file)


def names(reference: str, insz: str) -> bool:
    """Whether a reference holds the subject's number, however it is written: a delivery could then not do without it."""
    return insz in _NO_DIGIT.sub("", reference)


def is_open(file: Dossier, now: datetime) -> bool:
    """Whether a file is open, or yet to open."""
    return file.end is None or file.end > now


def forgettable(file: Dossier, now: datetime) -> bool:
    """Whether an ended file was kept long enough; one registered after its end counts from then."""
    return file.end is not None and max(file.end, file.registered) < now - KEPT


def _utc(at: datetime | None) -> datetime | None:
    return at and at.astimezone(UTC)
