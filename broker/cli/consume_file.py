"""`datanuts consume AGREEMENT --output FILE`: everything up to now as a file that is there whole, or not yet.

FILE.part      what came so far; `--resume` goes on after its last whole item
FILE           the file, once it is whole
FILE.cursor    where the next one begins; later files of the same name are FILE-2, FILE-3 (before the suffix)
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import fastavro
import httpx

from broker.cli.client import Client, connect
from broker.cli.output import machine, note, say
from broker.delivery.container import whole_blocks
from broker.errors import BrokerError, ConfigError, Invalid, Retriable

FORMATS = ("ndjson", "avro")

_PROGRESS_S = 2.0
_OWN_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class Held:
    """What a partial file holds whole: bytes, items, and the cursor after the last of them; `opening` as it begins."""

    size: int = 0
    items: int = 0
    cursor: str | None = None
    opening: bytes = b""


def held_lines(file: BinaryIO) -> Held:
    """What is whole of a file of lines."""
    file.seek(0)
    size = items = 0
    last = b""
    for line in file:
        if line.endswith(b"\n"):
            size, items, last = size + len(line), items + 1, line
    return Held(size, items, json.loads(last)["cursor"] if last else None)


def held_blocks(file: BinaryIO) -> Held:
    """What is whole of an Avro file."""
    before, blocks = whole_blocks(file)
    if not blocks:
        return Held(len(before), 0, None, before)
    at, size, _ = blocks[-1]
    file.seek(at)
    last: Any = list(fastavro.reader(BytesIO(before + file.read(size))))[-1]
    return Held(at + size, sum(items for _, _, items in blocks), last["cursor"], before)


_HELD: dict[str, Callable[[BinaryIO], Held]] = {"ndjson": held_lines, "avro": held_blocks}


def save(given: argparse.Namespace) -> None:
    """Write the files and say what they hold; raises `Invalid` where one is in the way."""
    series = _Series(given.output)
    if not given.resume and (series.path(1).exists() or series.part(1).exists()):
        raise Invalid(f"{given.output} is there already: choose another name, or go on with --resume")
    written: list[dict[str, Any]] = []
    more, (number, following) = True, series.next()
    start = {"after": following} if following else {"after": given.after, "since": given.since}
    with connect(given) as broker:
        while more:
            held, following, more = _attempted(broker, given, series.part(number), start)
            if held.items or number == 1:
                series.finish(number, following)
                written.append({"file": str(series.path(number)), "items": held.items, "bytes": held.size})
            else:
                series.part(number).unlink()
            number, start = number + 1, {"after": following}
    if given.json:
        machine({"agreement": given.agreement, "files": written, "next": following})
        return
    for file in written:
        say(f"{file['file']}: {file['items']} items, {file['bytes']} bytes")
    if not written:
        say("nothing new")


def _attempted(
    broker: Client, given: argparse.Namespace, part: Path, start: dict[str, Any]
) -> tuple[Held, str | None, bool]:
    """As `_written`; where nothing came, nothing is left in the way of another try."""
    try:
        return _written(broker, given.agreement, given.format, part, start)
    except (BrokerError, OSError) as error:
        if part.exists() and not part.stat().st_size:
            part.unlink()
        if isinstance(error, OSError):
            raise ConfigError(f"{part} cannot be written: {error.strerror}") from error
        raise


def _written(
    broker: Client, agreement: str, form: str, path: Path, start: dict[str, Any]
) -> tuple[Held, str | None, bool]:
    """What the file holds once it is whole, the cursor after it, and whether another file has to follow.

    A download that breaks off is gone on with, as long as each attempt brings something; raises `Retriable` then.
    """
    progress = _Progress()
    with _opened(path) as file:
        held = _HELD[form](file)
        while True:
            file.seek(held.size)
            file.truncate()
            asked = {"after": held.cursor} if held.cursor else start
            following, other, failure = None, False, None
            try:
                following, other = _download(broker, agreement, form, asked, file, held, progress)
            except Retriable as error:
                failure = error
            file.flush()
            now = _HELD[form](file)
            if failure is not None and now.items == held.items:
                raise failure
            if other and not held.items:
                held = Held()  # nothing but an opening lay there: begin anew, with the other schema
                continue
            # An Avro file is whole once the next one brings nothing, or what belongs to another schema.
            whole = failure is None and (form == "ndjson" or other or now.items == held.items)
            held = now
            if whole:
                os.fsync(file.fileno())
                return held, following or held.cursor or start.get("after"), other


def _download(
    broker: Client, agreement: str, form: str, asked: dict[str, Any], file: BinaryIO, held: Held, progress: "_Progress"
) -> tuple[str | None, bool]:
    """Append one download; the cursor that leads on, if it was told, and whether it was of another schema."""
    query = {name: stated for name, stated in asked.items() if stated} | {"format": form}
    with broker.download(f"/v1/deliveries/{agreement}/file", **query) as response:
        begun = b""
        for piece in response.iter_bytes():
            progress.passed(len(piece))
            if len(begun) == len(held.opening):
                file.write(piece)
                continue
            missing = len(held.opening) - len(begun)
            begun += piece[:missing]
            if not held.opening.startswith(begun):
                return None, True
            file.write(piece[missing:])
    following = response.links.get("next")
    return (httpx.URL(following["url"]).params["after"] if following else None), False


class _Series:
    """The files of one name."""

    def __init__(self, first: Path) -> None:
        self._first = first

    def path(self, number: int) -> Path:
        """The file of this number; the first has none in its name."""
        return self._first if number == 1 else self._first.with_stem(f"{self._first.stem}-{number}")

    def part(self, number: int) -> Path:
        """It, before it is whole."""
        return _beside(self.path(number), "part")

    def next(self) -> tuple[int, str | None]:
        """Number of the file to write now, and the cursor after the one before it."""
        number = next(number for number in count(1) if not self.path(number).exists())
        before = _beside(self.path(number - 1), "cursor")
        if number == 1:
            return 1, None
        try:
            return number, before.read_text().strip() or None
        except OSError as error:
            raise Invalid(f"{before} cannot be read: without it nobody knows where to go on") from error

    def finish(self, number: int, following: str | None) -> None:
        """Make the part the file; its cursor is there first."""
        note_ = _beside(self.path(number), "cursor")
        with _opened(_beside(note_, "part")) as file:
            file.truncate(0)
            file.write(f"{following or ''}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        _beside(note_, "part").replace(note_)
        self.part(number).replace(self.path(number))


class _Progress:
    """Says now and then how much came."""

    def __init__(self) -> None:
        self._bytes, self._noted_s = 0, time.monotonic()

    def passed(self, size: int) -> None:
        """Count some bytes."""
        self._bytes += size
        if time.monotonic() - self._noted_s >= _PROGRESS_S:
            self._noted_s = time.monotonic()
            note(f"{self._bytes / 1e6:.1f} MB")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def _opened(path: Path) -> BinaryIO:
    """To read and write, made if absent, for its owner only: it holds what the agreement releases."""
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, _OWN_ONLY), "r+b")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
