"""Values made when they are first asked for: of ten thousand agreements, few are told anything at once."""

from collections.abc import Callable
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class OnDemand(dict[_K, _V]):
    """A value for any key, made once. Looked up by `[]` only: it holds what was asked for until now."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[_K], _V]) -> None:
        self._make = make

    def __missing__(self, key: _K) -> _V:
        value = self[key] = self._make(key)
        return value
