"""Identifiers of persons, organisations, places and things: checked on entry, canonical afterwards.

`parse_*` returns the canonical form or raises `Invalid`, whose text never holds what was given.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Literal, Never, NewType

from broker.errors import Invalid

Insz = NewType("Insz", str)
"""National number: a rijksregisternummer or a bis number, eleven digits."""
KboNumber = NewType("KboNumber", str)
"""Enterprise number: ten digits, the first 0 or 1."""
EstablishmentNumber = NewType("EstablishmentNumber", str)
"""Vestigingsnummer: ten digits, the first 2 to 8."""
NisCode = NewType("NisCode", str)
"""NIS code of a municipality: five digits."""
OvoCode = NewType("OvoCode", str)
"""Code of the Flemish organisation register: OVO and six digits."""
CaPaKey = NewType("CaPaKey", str)
"""Key of a cadastral parcel: seventeen characters, the twelfth of them a slash."""
Puri = NewType("Puri", str)
"""Persistent URI of a thing, by the Flemish URI standard."""

Sex = Literal["male", "female"]

_SEPARATORS = str.maketrans("", "", " .-/")
_ELEVEN_DIGITS = re.compile(r"[0-9]{11}")
_KBO = re.compile(r"[01]?[0-9]{9}")
_ESTABLISHMENT = re.compile(r"[2-8][0-9]{9}")
_NIS = re.compile(r"[0-9]{5}")
_OVO = re.compile(r"OVO[0-9]{6}")
_CAPAKEY = re.compile(r"([0-9]{5}[A-Z][0-9]{4})[/-]([0-9]{2}[A-Z_0][0-9]{3})")
_PURI = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]+)?/id/[A-Za-z0-9_.~-]+(?:/[^\s/<>\"{}|\\^`]+)*")
_BIS_SEX_UNKNOWN, _BIS_SEX_KNOWN, _TEST = 20, 40, 60
_LAST_MONTH, _LAST_DAY, _LAST_SERIAL = 12, 31, 997
_FROM_2000 = 2_000_000_000


@dataclass(frozen=True, slots=True)
class InszFacts:
    """What an INSZ itself says. `birth` is a partial date (`2000-00-00`); the register, not the number, is authentic.

    `sex` is None where the number was given without it (bis numbers with month + 20, test numbers of them included).
    """

    birth: str
    sex: Sex | None
    bis: bool
    test: bool


def parse_insz(text: str) -> Insz:
    """Eleven digits of a valid INSZ; blanks, dots, dashes and slashes are dropped.

    Valid: the check digits fit one century (97 minus the first nine digits modulo 97, with a 2 in front for births
    since 2000; never both), and the date can exist: month 0 to 12, plus 60 for a test number, and day 0 to 31, both 00
    where unknown. A bis number (month plus 20 or 40, a test one plus 80) can be of somebody whose birth date nobody
    knows: its source hands out dates that do not exist, so that only its check digits are held.
    """
    digits = text.translate(_SEPARATORS)
    if not _ELEVEN_DIGITS.fullmatch(digits):
        _refuse("an INSZ has eleven digits")
    if _born_from_2000(digits) is None:
        _refuse("the check digits of the INSZ do not fit")
    month = int(digits[2:4]) % _TEST
    if month < _BIS_SEX_UNKNOWN and (month > _LAST_MONTH or int(digits[4:6]) > _LAST_DAY):
        _refuse("the birth date in the INSZ does not exist")
    return Insz(digits)


def read_insz(insz: Insz) -> InszFacts:
    """What a parsed INSZ says about birth and sex, and whether it is a bis or a test number."""
    month = int(insz[2:4])
    test, shift = month >= _TEST, month % _TEST
    bis = shift >= _BIS_SEX_UNKNOWN
    century = 20 if _born_from_2000(insz) else 19
    sex: Sex | None = "male" if int(insz[6:9]) % 2 else "female"
    if bis and shift < _BIS_SEX_KNOWN:
        sex = None
    month, day = shift % _BIS_SEX_UNKNOWN, int(insz[4:6])
    if month > _LAST_MONTH or day > _LAST_DAY:
        month = day = 0
    return InszFacts(f"{century}{insz[:2]}-{month:02}-{day:02}", sex, bis=bis, test=test)


def is_test_insz(insz: str) -> bool:
    """Whether an eleven-digit INSZ is a test number (month + 60), so that it can be of nobody."""
    return int(insz[2:4]) >= _TEST


def make_test_insz(birth: date | str, serial: int) -> Insz:
    """The test number for a (partial) birth date from 1900 to 2099 and a serial of 1 to 997, odd for a man.

    Raises `Invalid` for other arguments.
    """
    year, month, day = (int(part) for part in str(birth).split("-"))
    if not (1 <= serial <= _LAST_SERIAL and 19 <= year // 100 <= 20 and month <= _LAST_MONTH and day <= _LAST_DAY):  # noqa: PLR2004 - centuries
        _refuse("a test INSZ is made of a birth date since 1900 and a serial of 1 to 997")
    first = f"{year % 100:02}{month + _TEST:02}{day:02}{serial:03}"
    base = int(first) + (_FROM_2000 if year // 100 == 20 else 0)  # noqa: PLR2004 - century
    return parse_insz(f"{first}{97 - base % 97:02}")


def parse_kbo(text: str) -> KboNumber:
    """Ten digits of a valid enterprise number; separators are dropped and a missing leading zero is restored."""
    digits = text.translate(_SEPARATORS)
    if not _KBO.fullmatch(digits):
        _refuse("a KBO number has ten digits, the first 0 or 1")
    digits = digits.zfill(10)
    if not _mod97(digits):
        _refuse("the check digits of the KBO number do not fit")
    return KboNumber(digits)


def parse_establishment(text: str) -> EstablishmentNumber:
    """Ten digits of a valid establishment number; separators are dropped."""
    digits = text.translate(_SEPARATORS)
    if not _ESTABLISHMENT.fullmatch(digits) or not _mod97(digits):
        _refuse("an establishment number has ten digits, the first 2 to 8, and matching check digits")
    return EstablishmentNumber(digits)


def parse_nis(text: str) -> NisCode:
    """Five digits; whether the municipality exists, and when, is not checked (mergers retire codes)."""
    if not _NIS.fullmatch(text):
        _refuse("a NIS code of a municipality has five digits")
    return NisCode(text)


def parse_ovo(text: str) -> OvoCode:
    """OVO and six digits."""
    if not _OVO.fullmatch(text):
        _refuse("an OVO code is OVO and six digits")
    return OvoCode(text)


def parse_capakey(text: str) -> CaPaKey:
    """Division (five digits), section (a letter) and number (four digits), a slash, bis number, exponent and power.

    In IRIs the slash is a dash; it is a slash afterwards. There are no check digits.
    """
    found = _CAPAKEY.fullmatch(text)
    if found is None:
        _refuse("a CaPaKey is of the form 12345A0001/00A000")
    return CaPaKey(f"{found[1]}/{found[2]}")


def parse_puri(text: str) -> Puri:
    """An `/id/` URI of the Flemish URI standard: http(s)://{domain}/id/{concept}(/{reference})*."""
    if not _PURI.fullmatch(text):
        _refuse("a PURI is of the form https://{domain}/id/{concept}/{reference}")
    return Puri(text)


CHECKS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "insz": parse_insz,
        "kbo": parse_kbo,
        "vestiging": parse_establishment,
        "nis": parse_nis,
        "ovo": parse_ovo,
        "puri": parse_puri,
    }
)
"""Kinds of identifiers that a schema can say a field holds (`identifier`); a closed list, each with its check digits."""


def is_canonical(kind: str, text: str) -> bool:
    """Whether a text is an identifier of this kind of `CHECKS`, written as it is compared."""
    try:
        return CHECKS[kind](text) == text
    except Invalid:
        return False


def _born_from_2000(digits: str) -> bool | None:
    """Century by the check digits; None where they fit neither (they cannot fit both: 2,000,000,000 % 97 is not 0)."""
    first, check = int(digits[:9]), int(digits[9:])
    if 97 - first % 97 == check:
        return False
    return True if 97 - (_FROM_2000 + first) % 97 == check else None


def _mod97(digits: str) -> bool:
    return 97 - int(digits[:8]) % 97 == int(digits[8:])


def _refuse(message: str) -> Never:
    raise Invalid(message)
