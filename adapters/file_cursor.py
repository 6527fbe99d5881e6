"""Where a reader of files stands: which files are done, and how far it is in the one it read last.

Files are known by salted digests of their names, sizes and times of change, rows by one salted digest of all of them:
a name can hold personal data, and a cursor holds none.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

_SALT, _SHORT, _LONG = 8, 6, 12
_PARTS = 6
_DIGEST = 8  # characters of a short one in base64


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of the source, as it was when the folder was listed."""

    name: str
    size: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """`done` are the files that were read to their end; `rows` rows of the file `at` were read, with digest `seen`."""

    fingerprint: str
    salt: str
    done: frozenset[str] = frozenset()
    at: str = ""
    rows: int = 0
    seen: str = ""

    @classmethod
    def of(cls, text: str | None, fingerprint: str, random: Callable[[int], bytes]) -> "Cursor":
        """The cursor in `text`; a fresh one where there is none, or where it was made under another mapping."""
        parts = (text or "").split(".")
        if len(parts) != _PARTS or parts[0] != fingerprint or not parts[4].isdecimal():
            return cls(fingerprint, random(_SALT).hex())
        done = frozenset(parts[2][start : start + _DIGEST] for start in range(0, len(parts[2]), _DIGEST))
        return cls(fingerprint, parts[1], done, parts[3], int(parts[4]), parts[5])

    def first_new(self, listing: Sequence[Listed]) -> int:
        """Position of the first file that is not done as it is now; the number of files where all are."""
        positions = (number for number, file in enumerate(listing) if self._state(file) not in self.done)
        return next(positions, len(listing))

    def rows_of(self, file: Listed) -> int:
        """Rows of this file that were read, as far as it still begins with them (`Trail.digest` tells)."""
        return self.rows if self.at == self._name(file) else 0

    def before(self, listing: Sequence[Listed], number: int) -> Callable[["Trail"], str]:
        """Makes the texts of cursors that stand in the file at a position of the listing: all before it are done."""
        return self._texts(listing[:number], listing[number])

    def behind(self, listing: Sequence[Listed], number: int) -> Callable[["Trail"], str]:
        """Makes the text of the cursor that stands behind that file."""
        return self._texts(listing[: number + 1], listing[number])

    def trail(self, columns: Sequence[str]) -> "Trail":
        """An empty trail of a file with these columns."""
        return Trail(bytes.fromhex(self.salt), columns)

    def _texts(self, done: Sequence[Listed], at: Listed) -> Callable[["Trail"], str]:
        head = f"{self.fingerprint}.{self.salt}.{''.join(self._state(file) for file in done)}.{self._name(at)}"
        return lambda trail: f"{head}.{trail.rows}.{trail.digest}"

    def _name(self, file: Listed) -> str:
        return self._short(file.name.encode("utf-8", "surrogateescape"))

    def _state(self, file: Listed) -> str:
        return self._short(b"%d/%d/%b" % (file.size, file.changed_ns, file.name.encode("utf-8", "surrogateescape")))

    def _short(self, data: bytes) -> str:
        made = blake2b(data, digest_size=_SHORT, key=bytes.fromhex(self.salt), person=b"file").digest()
        return urlsafe_b64encode(made).decode()


class Trail:
    """The rows of a file so far: their number, and a digest of them and the columns."""

    def __init__(self, salt: bytes, columns: Sequence[str]) -> None:
        self.rows = 0
        self._hash = blake2b("\x1e".join(columns).encode(), digest_size=_LONG, key=salt, person=b"rows")

    @property
    def digest(self) -> str:
        """Of all rows that were added."""
        return self._hash.hexdigest()

    def add(self, row: Any) -> None:
        """Go on by one row: its cells, its tree, or the reason why it has none."""
        self.rows += 1
        match row:
            case str():
                told = row
            case list():
                told = "\x1f".join(row)
            case _:
                told = json.dumps(row, sort_keys=True, separators=(",", ":"))
        self._hash.update(f"{len(told)}/{told}".encode("utf-8", "surrogatepass"))
