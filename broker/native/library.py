"""The native core as it is called: its structures, one to one with those in the Zig files, and its functions."""

import sys
from array import array
from ctypes import CDLL, Structure, addressof, c_char, c_char_p, c_int64, c_uint8, c_uint32, c_uint64, c_void_p, cast
from ctypes import byref as by_reference
from functools import lru_cache
from hashlib import sha256
from mmap import mmap
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

SOURCES = Path(__file__).parent
NONE = (1 << 32) - 1
"""Stands for no combination, group, output or subject."""

_FAILED = (1 << 64) - 1
_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")

Numbers: TypeAlias = "array[int]"


def library_path() -> Path:
    """Where the core of the sources as they are now is, if it was built: a core of other sources is never taken."""
    told = sha256(b"".join(source.read_bytes() for source in sorted(SOURCES.glob("*.zig")))).hexdigest()
    return SOURCES / f"core-{told[:16]}{_SUFFIX}"


class Section(Structure):
    """The records of one batch, of which those before offset `first` are not asked for."""

    _fields_ = [
        ("begin", c_uint64),
        ("end", c_uint64),
        ("base", c_int64),
        ("first", c_int64),
        ("records", c_uint64),
    ]


class Unpacking(Structure):
    """`unpack`: see `unpack.zig`."""

    _fields_ = [
        ("data", c_void_p),
        ("sections", c_void_p),
        ("sections_count", c_uint64),
        ("keys", c_void_p),
        ("begins", c_void_p),
        ("ends", c_void_p),
        ("verdicts", c_void_p),
        ("offsets", c_void_p),
        ("traces", c_void_p),
    ]


class Admission(Structure):
    """`admit`: see `admit.zig`."""

    _fields_ = [
        ("records", c_uint64),
        ("keys", c_void_p),
        ("data", c_void_p),
        ("begins", c_void_p),
        ("ends", c_void_p),
        ("verdicts", c_void_p),
        ("frame", c_uint8 * 8),
        ("program", c_void_p),
        ("program_words", c_uint64),
        ("points_each", c_uint64),
        ("k_lane", c_uint8 * 32),
        ("lane", c_uint32),
        ("lanes", c_uint32),
        ("principal", c_uint32),
        ("principal_nullable", c_uint32),
        ("wall", c_uint32),
        ("asked", c_void_p),
        ("asked_count", c_uint64),
        ("points", c_void_p),
        ("packed_keys", c_void_p),
        ("combinations", c_void_p),
        ("firsts", c_void_p),
    ]


class Subjects(Structure):
    """`subjects`: see `follow.zig`."""

    _fields_ = [
        ("records", c_uint64),
        ("verdicts", c_void_p),
        ("packed_keys", c_void_p),
        ("subjects", c_void_p),
        ("keys", c_void_p),
    ]


class Past(Structure):
    """`follow`: see `follow.zig`."""

    _fields_ = [
        ("admission", c_void_p),
        ("subjects", c_void_p),
        ("offsets", c_void_p),
        ("ended", c_uint32),
        ("selected_count", c_uint32),
        ("selected", c_void_p),
        ("asked", c_void_p),
        ("now", c_int64),
        ("next", c_int64),
        ("next_at", c_int64),
        ("whole", c_int64),
        ("whole_at", c_int64),
        ("instants", c_void_p),
        ("instants_count", c_uint64),
        ("subjects_count", c_uint64),
        ("keys", c_void_p),
        ("found_count", c_uint64),
        ("found_keys", c_void_p),
        ("entries", c_void_p),
        ("entry_ends", c_void_p),
        ("firsts", c_void_p),
        ("combinations_count", c_uint64),
        ("groups", c_void_p),
        ("group_before", c_void_p),
        ("group_at", c_void_p),
        ("group_after", c_void_p),
        ("group_kind", c_void_p),
        ("group_records", c_void_p),
        ("former", c_void_p),
        ("last", c_void_p),
        ("kept", c_void_p),
        ("kept_bytes", c_uint64),
    ]


class Keeping(Structure):
    """`keep`: see `follow.zig`."""

    _fields_ = [("past", c_void_p), ("room", c_void_p), ("ends", c_void_p)]


class Constant(Structure):
    """A stretch of `Packing.constants`, or of `Packing.batch`."""

    _fields_ = [("at", c_uint32), ("size", c_uint32)]


class Pseudonym(Structure):
    """A pseudonym of the text in a slot; `nullable` if that has a branch byte, `optional` if it may be absent at all."""

    _fields_ = [
        ("slot", c_uint32),
        ("nullable", c_uint32),
        ("optional", c_uint32),
        ("key", c_uint8 * 32),
    ]


class Recipe(Structure):
    """What one decision makes of a record, under one agreement version."""

    _fields_ = [
        ("key", c_uint8 * 32),
        ("frame", c_uint8 * 8),
        ("output", c_uint32),
        ("released", c_uint32),
        ("valueless", c_uint32),
        ("spans", c_uint32),
        ("spans_count", c_uint32),
        ("pseudonyms", c_uint32),
        ("pseudonyms_count", c_uint32),
        ("head", Constant),
        ("tail", Constant),
        ("leaf", Constant),
    ]


class Chunk(Structure):
    """Records of one output, behind room for a batch's header."""

    _fields_ = [
        ("output", c_uint32),
        ("records", c_uint32),
        ("begin", c_uint64),
        ("end", c_uint64),
    ]


class Packing(Structure):
    """`bound` and `pack`: see `pack.zig`."""

    _fields_ = [
        ("admission", c_void_p),
        ("offsets", c_void_p),
        ("traces", c_void_p),
        ("groups", c_void_p),
        ("recipe_ends", c_void_p),
        ("recipe_of", c_void_p),
        ("recipes", c_void_p),
        ("recipes_count", c_uint64),
        ("spans", c_void_p),
        ("pseudonyms", c_void_p),
        ("pseudonyms_count", c_uint64),
        ("constants", c_void_p),
        ("batch", c_void_p),
        ("id_header", Constant),
        ("time_header", Constant),
        ("trace_header", Constant),
        ("place_head", Constant),
        ("place_tail", Constant),
        ("receipt_head", Constant),
        ("k_ledger", c_uint8 * 32),
        ("outputs_count", c_uint64),
        ("most_batch", c_uint64),
        ("room", c_void_p),
        ("room_bytes", c_uint64),
        ("chunks", c_void_p),
        ("chunks_count", c_uint64),
    ]


class Core:
    """The functions of a built core; each raises `MemoryError` where it could not do its work."""

    def __init__(self, path: Path) -> None:
        self._library = CDLL(str(path))
        for name in ("unpack", "admit", "subjects", "follow", "keep", "bound", "pack"):
            getattr(self._library, name).restype = c_uint64

    def unpack(self, batch: Unpacking) -> int | None:
        """Number of records; None where they are not surely right."""
        done = int(self._library.unpack(by_reference(batch)))
        return None if done == _FAILED else done

    def admit(self, batch: Admission) -> int:
        """Number of combinations of values that decisions look at."""
        return self._call("admit", batch)

    def subjects(self, batch: Subjects) -> int:
        """Number of subjects."""
        return self._call("subjects", batch)

    def follow(self, batch: Past) -> int:
        """Number of groups."""
        return self._call("follow", batch)

    def keep(self, batch: Keeping) -> int:
        """Number of bytes written."""
        return self._call("keep", batch)

    def bound(self, batch: Packing) -> int:
        """Most bytes that `pack` needs; `chunks_count` becomes the most chunks."""
        return self._call("bound", batch)

    def pack(self, batch: Packing) -> int:
        """Number of chunks."""
        return self._call("pack", batch)

    def _call(self, name: str, batch: Structure) -> int:
        done = int(getattr(self._library, name)(by_reference(batch)))
        if done == _FAILED:
            raise MemoryError(f"the native core could not {name}")
        return done


@lru_cache(maxsize=1)
def core() -> Core | None:
    """The core, where it was built for the sources at hand."""
    path = library_path()
    return Core(path) if path.exists() else None


_S = TypeVar("_S", bound=Structure)


def filled(kind: type[_S], **given: Any) -> _S:
    """A structure of these values, and of where those are that it points to: it keeps them for as long as it lives."""
    fields = {field[0]: field[1] for field in kind._fields_}
    structure = kind(**{name: place_of(value) if fields[name] is c_void_p else value for name, value in given.items()})
    structure.held = given
    return structure


def place_of(value: Any) -> int | None:
    """Where the bytes of a buffer or of a structure are."""
    if isinstance(value, bytes):
        return cast(c_char_p(value), c_void_p).value
    if isinstance(value, bytearray | mmap):
        return addressof(c_char.from_buffer(value)) if value else None
    return value.buffer_info()[0] if isinstance(value, array) else addressof(value)


def key_of(raw: bytes) -> Any:
    """A 32-byte key as a structure holds it."""
    return (c_uint8 * 32).from_buffer_copy(raw)


def frame_of(raw: bytes) -> Any:
    """A wire frame as a structure holds it."""
    return (c_uint8 * 8).from_buffer_copy(raw.ljust(8, b"\0"))
