"""A row as a system's log of changes tells it: perhaps of one that is gone, perhaps with columns whose value is not told."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from broker.errors import PoisonRecord

_ALL_TOLD: Mapping[str, str] = MappingProxyType({})


class ChangeRow(dict[str, Any]):
    """Columns by name. `gone`: the row was deleted, these are its last values.

    Whoever asks for a column of `unreadable` gets `PoisonRecord` with the reason that stands there and the column's name:
    what is not told must not be taken for absent. A column that nobody asks for troubles nobody.
    """

    __slots__ = ("gone", "unreadable")

    def __init__(
        self, columns: Mapping[str, Any], *, gone: bool = False, unreadable: Mapping[str, str] = _ALL_TOLD
    ) -> None:
        super().__init__(columns)
        self.gone = gone
        self.unreadable = unreadable

    def get(self, column: str, default: Any = None) -> Any:
        """The column's value; `default` where there is none."""
        if column in self.unreadable:
            raise PoisonRecord(self.unreadable[column], column)
        return super().get(column, default)

    def __getitem__(self, column: str) -> Any:
        if column in self.unreadable:
            raise PoisonRecord(self.unreadable[column], column)
        return super().__getitem__(column)
