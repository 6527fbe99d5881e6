"""The wall between synthetic and real persons: an installation holds one kind or the other, never both.

A test INSZ (month + 60) can be of nobody. A synthetic installation takes only those, beside a list of published sample
numbers that tests admit; a real one refuses them.
"""

from dataclasses import dataclass, field
from re import ASCII
from re import compile as pattern
from typing import Literal

from broker.errors import Invalid
from broker.model.identifiers import is_test_insz, parse_insz

Persons = Literal["synthetic", "real"]
Verdict = Literal["INSZ_INVALID", "REAL_SUBJECT", "TEST_SUBJECT"]

_INSZ = pattern(r"[0-9]{11}", ASCII)
_PASSES = {
    "synthetic": pattern(r"[0-9]{2}[6-9][0-9]{8}", ASCII).fullmatch,
    "real": pattern(r"[0-9]{2}[0-5][0-9]{8}", ASCII).fullmatch,
}
"""What passes at a glance: nearly all that comes to a right installation."""


@dataclass(frozen=True, slots=True)
class SubjectWall:
    """Which persons may be subjects here. `admitted` only opens a synthetic installation, for the numbers it lists."""

    persons: Persons
    admitted: frozenset[str] = field(default=frozenset(), repr=False)

    def verdict(self, insz: str) -> Verdict | None:
        """None if a record about `insz` may pass, else why not. Check digits are not looked at: that is the adapter's door."""
        if _PASSES[self.persons](insz) is not None:
            return None
        if not _INSZ.fullmatch(insz):
            return "INSZ_INVALID"
        test = is_test_insz(insz)
        if self.persons == "real":
            return "TEST_SUBJECT" if test else None
        return None if test or insz in self.admitted else "REAL_SUBJECT"


def admitted_subjects(text: str) -> frozenset[str]:
    """Numbers of a list file: one INSZ per line, `#` starts a comment; raises `Invalid` naming the line, not its text."""
    admitted = set()
    for number, line in enumerate(text.splitlines(), 1):
        stated = line.partition("#")[0].strip()
        if not stated:
            continue
        try:
            admitted.add(str(parse_insz(stated)))
        except Invalid as error:
            raise Invalid(f"line {number} of the list of admitted subjects: {error}") from None
    return frozenset(admitted)
