"""Python source that walks one record type, for `guard` and `projection` to execute.

The source holds integers and the fixed names below, never a name or a text of a schema, so that executing it is as
safe as what `dataclasses` does. Names: `b` the bytes; `J V B Y I G D M L C` and `T<n> X<n>` tables and readers of
`environment`; `E` the exception; `n<d>` twice what is left of a count, by depth; `x` a branch; `m` below; cut points and
cursors as the caller names them.

A step is `here + (TABLE[b[here]] or READER(b, here))`: the table gives the size of a value whose number takes one byte,
or 0, and then the reader gives the size or raises. Of a boolean and a short enum, that have no longer form, the table
gives `_BEYOND` for what is none: no later byte is found there, nor can the walk end there.

Texts are checked in runs, not one by one: between `m` and a cursor lie whole values whose structural bytes are all
below 0x80. There a text that is cut short or torn always meets such a byte or an end, so that the run is UTF-8 if and
only if each text is. A value with a byte that may be above 0x7F (a long length, a large number, a double) ends a run;
there an unguarded reader has a third argument, `m`, checks the run, and gives where the value ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from broker.schema import varints
from broker.schema.types import Array, Enumeration, Fixed, Nullable, Primitive, Record, Type, minimum_bytes, unwrapped

_BYTE = range(256)
_WIDE = 0x80

# By first byte: size of a string or bytes value whose length takes one byte; size of any one-byte integer.
_SIZED = tuple(0 if byte & 0x81 else 1 + (byte >> 1) for byte in _BYTE)
_SINGLE = tuple(int(byte < _WIDE) for byte in _BYTE)
_BEYOND = 1 << 40
_BOOLEAN = tuple(1 if byte <= 1 else _BEYOND for byte in _BYTE)


def _ending(size: Callable[[bytes, int], int]) -> Callable[[bytes, int, int], int]:
    """Reader that ends a run: checks what is between `begin` and the value, and gives where the value ends."""

    def end(value: bytes, begin: int, at: int) -> int:
        value[begin:at].decode()
        return at + size(value, at)

    return end


@dataclass(slots=True)
class Emitter:
    """Collects lines; `guarded` if the bytes passed the guard before, so that only sizes matter."""

    guarded: bool
    lines: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(
        default_factory=lambda: {
            "J": _SIZED,
            "B": _BOOLEAN,
            "V": _SINGLE,
            "Y": varints.bytes_size,
            "C": varints.count,
            "E": varints.Malformed,
        }
    )

    def __post_init__(self) -> None:
        self._reader("L", varints.bytes_size if self.guarded else varints.text_size)
        self._reader("I", varints.int_size)
        self._reader("G", varints.long_size)
        self._reader("D", varints.date_size)
        self._reader("M", varints.millisecond_size)

    def _reader(self, name: str, size: Callable[[bytes, int], int]) -> None:
        self.environment[name] = size if self.guarded else _ending(size)

    def line(self, depth: int, text: str) -> None:
        """Add one line of code at an indentation."""
        self.lines.append(" " * depth + text)

    def record(self, record: Record, here: str, names: Iterator[str], depth: int) -> str:
        """Walk a record from `here` to the last of the cut points taken from `names`, which is returned."""
        for member in record.fields:
            inner = unwrapped(member.type)
            if not isinstance(inner, Record):
                after = next(names)
                self.value(member.type, here, after, depth)
                here = after
            elif isinstance(member.type, Nullable):
                here = self._nullable_record(inner, here, names, depth)
            else:
                here = self.record(inner, here, names, depth)
        return here

    def _nullable_record(self, record: Record, here: str, names: Iterator[str], depth: int) -> str:
        inside = next(names)
        taken = [inside]

        def noted() -> Iterator[str]:
            for name in names:
                taken.append(name)
                yield name

        self._if_present(here, depth)
        self._move("1", here, inside, depth + 1)
        last = self.record(record, inside, noted(), depth + 1)
        self._else_null(here, " = ".join(dict.fromkeys(taken)), depth)
        return last

    def _if_present(self, here: str, depth: int) -> None:
        self.line(depth, f"if (x := b[{here}]) == 2:")

    def _else_null(self, here: str, targets: str, depth: int) -> None:
        self.line(depth, "elif x:")
        self.line(depth + 1, "raise E")
        self.line(depth, "else:")
        self.line(depth + 1, f"{targets} = {here} + 1")

    def value(self, type_: Type, here: str, after: str, depth: int) -> None:
        """Walk one value from `here` to `after`, which may be the same variable."""
        match type_:
            case Nullable(inner=inner):
                self._if_present(here, depth)
                self._move("1", here, after, depth + 1)
                self.value(inner, after, after, depth + 1)
                self._else_null(here, after, depth)
            case Record():
                self.line(depth, f"{after} = {here}")
                self.record(type_, after, _same(after), depth)
            case Array():
                self._array(type_, here, after, depth)
            case Fixed(size=size):
                self._opaque(size, here, after, depth)
            case Enumeration():
                self._enum(type_, here, after, depth)
            case Primitive():
                self._primitive(type_, here, after, depth)

    def _primitive(self, type_: Primitive, here: str, after: str, depth: int) -> None:
        match type_.name:
            case "boolean":
                self._move(f"B[b[{here}]]", here, after, depth)
            case "float":
                self._float(f"b[{here} + 3] & 127 == 127 and b[{here} + 2] & 128", 4, here, after, depth)
            case "double":
                self._float(f"b[{here} + 7] & 127 == 127 and b[{here} + 6] & 240 == 240", 8, here, after, depth)
            case "bytes":
                self._end_run(here, depth)
                self._step("J", "Y", here, after, depth)
                self._start_run(after, depth)
            case "string":
                self._long_step("J", "L", here, after, depth)
            case name:
                reader = {"date": "D", "timestamp-millis": "M"}.get(type_.logical or "", "I" if name == "int" else "G")
                self._long_step("V", reader, here, after, depth)

    def _move(self, size: str, here: str, after: str, depth: int) -> None:
        self.line(depth, f"{after} = {here} + {size}")

    def _step(self, table: str, reader: str, here: str, after: str, depth: int) -> None:
        self._move(f"({table}[b[{here}]] or {reader}(b, {here}))", here, after, depth)

    def _long_step(self, table: str, reader: str, here: str, after: str, depth: int) -> None:
        """Step over a value of which only a longer form holds bytes above 0x7F; a long text's reader checks it."""
        if self.guarded:
            self._step(table, reader, here, after, depth)
        else:
            self._move(f"({table}[b[{here}]] or (m := {reader}(b, m, {here})) - {here})", here, after, depth)

    def _float(self, unbounded: str, size: int, here: str, after: str, depth: int) -> None:
        if not self.guarded:
            # Infinity and NaN: every bit of the exponent is set.
            self.line(depth, f"if {unbounded}:")
            self.line(depth + 1, "raise E")
        self._opaque(size, here, after, depth)

    def _opaque(self, size: int, here: str, after: str, depth: int) -> None:
        self._end_run(here, depth)
        self._move(str(size), here, after, depth)
        self._start_run(after, depth)

    def _end_run(self, here: str, depth: int) -> None:
        if not self.guarded:
            self.line(depth, f"b[m:{here}].decode()")

    def _start_run(self, after: str, depth: int) -> None:
        if not self.guarded:
            self.line(depth, f"m = {after}")

    def _array(self, type_: Array, here: str, after: str, depth: int) -> None:
        count = f"n{depth}"
        self.line(depth, f"{count} = b[{here}]")
        self._move("1", here, after, depth)
        self.line(depth, f"if {count}:")
        self.line(depth + 1, f"if {count} & 129:")
        self._long_count(type_, count, after, depth + 2)
        self.line(depth + 1, f"while {count}:")
        self.value(type_.items, after, after, depth + 2)
        self.line(depth + 2, f"{count} -= 2")
        self.line(depth + 1, f"if b[{after}]:")
        self.line(depth + 2, "raise E")
        self.line(depth + 1, f"{after} += 1")

    def _long_count(self, type_: Array, count: str, after: str, depth: int) -> None:
        """Read a count that takes more than one byte; it may claim no more items than there are bytes for."""
        self._end_run(f"{after} - 1", depth)
        self.line(depth, f"{count}, {after} = C(b, {after} - 1)")
        self.line(depth, f"if {count} * {minimum_bytes(type_.items)} > len(b) - {after}:")
        self.line(depth + 1, "raise E")
        self.line(depth, f"{count} += {count}")
        self._start_run(after, depth)

    def _enum(self, type_: Enumeration, here: str, after: str, depth: int) -> None:
        size = len(type_.symbols)
        short = size <= _WIDE >> 1
        refused = _BEYOND if short else 0
        self.environment[f"T{size}"] = tuple(
            1 if byte < _WIDE and not byte & 1 and byte >> 1 < size else refused for byte in _BYTE
        )
        if short:
            self._move(f"T{size}[b[{here}]]", here, after, depth)
        else:
            self._reader(f"X{size}", varints.index_size(type_))
            self._long_step(f"T{size}", f"X{size}", here, after, depth)


def _same(name: str) -> Iterator[str]:
    while True:
        yield name


def execute(emitter: Emitter, function: str) -> Callable[..., Any]:
    """The function of this name that the collected lines define."""
    namespace = dict(emitter.environment)
    exec("\n".join(emitter.lines), namespace)  # noqa: S102 - integers and fixed names only, see the module
    found: Callable[..., Any] = namespace[function]
    return found
