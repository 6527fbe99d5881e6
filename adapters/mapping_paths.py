"""What a source path of a mapping means in the rows of one kind of source."""

from dataclasses import dataclass
from typing import Protocol

from adapters.mapping_values import Get, getter


class Paths(Protocol):
    """The paths of one kind of source. `.` is the row or element itself in all of them."""

    def wrong(self, path: str) -> str:
        """Why it is no path; empty where it is one. Of any other path than these the functions below know nothing."""

    def one(self, path: str) -> Get:
        """The value at a path, None where there is none; what is no single value is no text either."""

    def several(self, path: str) -> Get:
        """The list at a path, of elements that paths can begin at; None where there is none."""


@dataclass(frozen=True, slots=True)
class Pointers:
    """Keys, and JSON Pointers (RFC 6901), of what JSON can hold: a list is what the row has as a list."""

    def wrong(self, path: str) -> str:
        """Any text is a key."""
        del path
        return ""

    def one(self, path: str) -> Get:
        """What is there."""
        return getter(path)

    def several(self, path: str) -> Get:
        """What is there."""
        return getter(path)
