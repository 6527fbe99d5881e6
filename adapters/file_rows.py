"""What a file of a source becomes, whatever its form: rows with their numbers, or a reason why it cannot be read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

Row = TypeVar("Row")


class FileBroken(Exception):
    """A file that cannot be read on; holds the reason, and the field that it keeps from being made, if it is one."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.reason, self.path = reason, path


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """Columns of a file (none where its rows are trees), and its rows with their numbers in it, from 1.

    What stands in the place of a row that cannot be read is the reason.
    """

    columns: list[str]
    rows: Iterator[tuple[int, Row | str]]


class Format(Protocol):
    """One form of files."""

    @property
    def suffixes(self) -> frozenset[str]:
        """Ends of the names of files that have it, in small letters."""

    def table(self, file: BinaryIO, name: str) -> Table[Any]:
        """The rows of `file`, read while they are asked for; raises `FileBroken`, also then."""

    def shown(self, columns: Sequence[str], row: Any) -> dict[str, Any]:
        """A row that is no reason as a mapping gets it."""
