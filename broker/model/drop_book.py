"""Drops, one per agreement at most: the agency's SFTP server onto which the broker puts files of its deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from broker.model.file_format import FileFormat
from broker.model.push_book import Book, Registration


@dataclass(frozen=True, slots=True)
class Destination:
    """Where files go, and how: `host_key` is the server's public key as an OpenSSH line, `every` the time between two looks."""

    host: str
    port: int
    username: str
    directory: str
    format: FileFormat
    host_key: str
    every: timedelta

    def as_data(self) -> dict[str, Any]:
        """What `of_data` reads."""
        return {
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "directory": self.directory,
            "format": self.format.value,
            "hostKey": self.host_key,
            "everyS": int(self.every.total_seconds()),
        }

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> "Destination":
        """The destination that `as_data` wrote; raises `ValueError`, `TypeError` or `KeyError` for anything else."""
        return cls(
            str(data["host"]),
            int(data["port"]),
            str(data["username"]),
            str(data["directory"]),
            FileFormat(data["format"]),
            str(data["hostKey"]),
            timedelta(seconds=int(data["everyS"])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Registration):
    """Where an agreement's deliveries are put."""

    to: Destination


@dataclass(slots=True)
class DropBook(Book[Drop]):
    """Drops by agreement."""

    def _stated(self, known: Drop | None, data: Mapping[str, Any]) -> Drop | None:
        del known
        return Drop(
            agreement=str(data["agreement"]),
            agency=str(data["agency"]),
            series=int(data["series"]),
            to=Destination.of_data(data),
        )
