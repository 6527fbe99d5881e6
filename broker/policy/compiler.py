"""Agreements of one product to an `Engine`: constraints become closures on encoded bytes behind an equality index.

What one agreement contributes is worked out when its standing changes, and taken over from engine to engine: a
revocation among thousands of agreements costs the router that one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache, partial

from broker.errors import Invalid
from broker.model.agreement import (
    Agreement,
    AllOf,
    AnyOf,
    Constraint,
    Equals,
    Prefix,
    Range,
    ReleasedField,
    Transform,
)
from broker.model.decision import Kind, Release, Withhold
from broker.model.on_demand import OnDemand
from broker.policy.attest import ATTESTED, TIMED, Answer, question
from broker.policy.buckets import FOREVER, Plan, Values
from broker.policy.calendar import milliseconds
from broker.policy.engine import Engine
from broker.policy.index import Entry, Index, Key, Ways, index_of
from broker.policy.reference import is_attestation
from broker.policy.standing import Former, Standing, released
from broker.policy.views import EncodeLiteral, SchemaView
from broker.schema.leaf_values import literal_of
from broker.schema.varints import content

Predicate = Callable[[Values], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one standing contributes to an engine, and the paths that it uses."""

    standing: Standing
    used: frozenset[str]
    plan: Plan
    entry: Entry

    def numbered(self, index: int) -> "Part":
        """The same for a plan of this index."""
        if self.plan.index == index:
            return self
        return Part(self.standing, self.used, self.plan.numbered(index), self.entry)


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """An engine, and what the next one over the same schema takes over."""

    engine: Engine
    parts: Mapping[str, Part]
    index: Index
    bytes_of: "_Bytes"


def compile_engine(
    standings: Iterable[Standing], schema: SchemaView, encode: EncodeLiteral, *, paths: Iterable[str] = ()
) -> Engine:
    """Engine over the agreements that are in force on `schema.product`, in order of agreement id.

    `paths` adds selected paths (say, all that any ceiling makes selectable), so that a lane's stored values survive an
    amendment. Raises `Invalid` for a path that cannot be selected: the static check refuses such an agreement before.
    """
    return compiled(standings, schema, encode, paths=paths).engine


def compiled(
    standings: Iterable[Standing],
    schema: SchemaView,
    encode: EncodeLiteral,
    *,
    paths: Iterable[str] = (),
    former: Compiled | None = None,
) -> Compiled:
    """As `compile_engine`: the same engine whatever `former` is, at the cost of the standings that are not those of `former`.

    A standing is taken for the same only if it is the same object.
    """
    chosen = sorted(
        (standing for standing in standings if standing.in_force and standing.agreement.product == schema.product),
        key=lambda standing: standing.agreement.id,
    )
    known = {} if former is None or former.bytes_of.schema is not schema else former.parts
    kept = [_same(known.get(standing.agreement.id), standing) for standing in chosen]
    used = (_used_by(each) if part is None else part.used for each, part in zip(chosen, kept, strict=True))
    ordered = tuple(sorted(frozenset(paths).union(*used)))
    if former is None or former.bytes_of.schema is not schema or former.engine.paths != ordered:
        # Values stand elsewhere: nothing of the former engine reads them.
        former, kept = None, [None] * len(chosen)
    bytes_of = former.bytes_of if former else _Bytes(schema, encode, {path: at for at, path in enumerate(ordered)})
    parts = [
        _part(index, standing, bytes_of) if part is None else part.numbered(index)
        for index, (standing, part) in enumerate(zip(chosen, kept, strict=True))
    ]
    entries = [(part.plan, part.entry) for part in parts]
    index = index_of(entries) if former is None else index_of(entries, former.index)
    engine = Engine(ordered, tuple(part.plan for part in parts), index.tables(), index.buckets.get(None))
    return Compiled(engine, {part.standing.agreement.id: part for part in parts}, index, bytes_of)


def _same(part: Part | None, standing: Standing) -> Part | None:
    return part if part is not None and part.standing is standing else None


def _used_by(standing: Standing) -> frozenset[str]:
    return _used(standing.agreement, (former.agreement for former in standing.formers))


def _used(agreement: Agreement, formers: Iterable[Agreement]) -> frozenset[str]:
    """Paths whose values decide, now or under an earlier version."""
    versions = (agreement, *formers)
    selected = (leaf.path for version in versions for leaf in leaves_of(_flat(version.population.where)))
    return frozenset(selected).union(*map(_compared, versions))


def _part(index: int, standing: Standing, bytes_of: "_Bytes") -> Part:
    where = _flat(standing.agreement.population.where)
    exact = isinstance(where, Equals) or where == AllOf(())
    entry = Entry(tuple(_equalities(where, bytes_of)), _ways(where, bytes_of), exact)
    return Part(standing, _used_by(standing), _plan(index, standing, where, bytes_of), entry)


def paths_asked(plans: Iterable[Plan]) -> frozenset[str]:
    """Leaf paths that decisions under these plans look at: of all that an engine takes, the others change nothing."""
    return frozenset[str]().union(
        *(_used(plan.agreement, (former.agreement for _, former in plan.formers)) for plan in plans)
    )


def leaves_of(where: Constraint) -> Iterator[Equals | Range | Prefix]:
    """The tests on paths that a constraint is made of, in document order."""
    if isinstance(where, AllOf | AnyOf):
        for part in where.parts:
            yield from leaves_of(part)
    else:
        yield where


@dataclass(frozen=True, slots=True)
class _Bytes:
    """Selected values as the engine sees them: where each path stands, and what its bytes mean."""

    schema: SchemaView
    encode: EncodeLiteral
    positions: Mapping[str, int]
    instants: dict[int, int] = field(default_factory=dict)

    def instant(self, at: datetime | None, otherwise: int) -> int:
        """Milliseconds; equal instants are one object, which stays in reach however many agreements compare with it."""
        number = otherwise if at is None else milliseconds(at)
        return self.instants.setdefault(number, number)

    def position(self, path: str) -> int:
        leaf = self.schema.fields.get(path)
        if leaf is None or leaf.repeated:
            raise Invalid(f"{path} is not a single-valued leaf of {self.schema.product}")
        return self.positions[path]

    def literals(self, where: Equals) -> frozenset[bytes]:
        """Encoded accepted values; one that the leaf cannot hold matches nothing."""
        found = set()
        for text in where.values:
            try:
                found.add(self.encode(where.path, text))
            except Invalid:
                continue
        return frozenset(found)

    def reader(self, path: str) -> Callable[[bytes], bytes | None]:
        """Reader of a text leaf's UTF-8 bytes, which order as their code points do; None where absent."""
        leaf = self.schema.fields[path]
        if leaf.type != "string":
            raise Invalid(f"{path} is not text: range, prefix and attestation need text")
        return _optional_text if leaf.nullable else _text


def _text(raw: bytes) -> bytes | None:
    """UTF-8 content of an encoded string; None below a null parent."""
    return content(raw) if raw else None


def _optional_text(raw: bytes) -> bytes | None:
    """As `_text` for `["null", "string"]`: branch 0 is null, branch 1 (encoded 02) the string."""
    return content(raw[1:]) if raw[:1] == b"\x02" else None


def _plan(index: int, standing: Standing, where: Constraint, bytes_of: _Bytes) -> Plan:
    agreement = standing.agreement
    attested, timed = _asked(agreement, ATTESTED), _asked(agreement, TIMED)
    return Plan(
        index=index,
        agreement=agreement,
        keys=_keys(agreement.fields),
        state=standing.state,
        above_ceiling=standing.above_ceiling,
        start=bytes_of.instant(agreement.term.start, -FOREVER),
        end=bytes_of.instant(agreement.term.end, FOREVER),
        amended=bytes_of.instant(standing.amended_at, -FOREVER),
        activated=bytes_of.instant(standing.activated_at, FOREVER),
        where=_predicate(where, bytes_of),
        answers=_answers(attested, bytes_of) if is_attestation(agreement) else None,
        timed=_answers(timed, bytes_of) if timed else None,
        releases=OnDemand(partial(Release, agreement.id)),
        departures=OnDemand(partial(Release, agreement.id, Kind.LEFT_POPULATION, None)),
        withholds=OnDemand(partial(Withhold, agreement.id)),
        formers=tuple(
            (milliseconds(former.until), _former(index, standing, former, bytes_of)) for former in standing.formers
        ),
    )


@lru_cache(maxsize=1024)
def _keys(fields: tuple[ReleasedField, ...]) -> frozenset[str]:
    """One set for all agreements that release the same."""
    return frozenset(released.key for released in fields)


def _former(index: int, standing: Standing, former: Former, bytes_of: _Bytes) -> Plan:
    """An earlier version, to ask who belonged to it."""
    before = replace(standing, agreement=former.agreement, formers=())
    plan = _plan(index, before, _flat(former.agreement.population.where), bytes_of)
    return replace(plan, renewed=released(former.agreement) != released(standing.agreement))


def _asked(agreement: Agreement, among: Collection[Transform]) -> tuple[ReleasedField, ...]:
    """Released fields that answer a question."""
    return tuple(released for released in agreement.fields if released.transform in among)


def _compared(agreement: Agreement) -> Iterator[str]:
    """Paths whose answers must be compared with the previous ones."""
    among = ATTESTED if is_attestation(agreement) else TIMED
    return (released.path for released in _asked(agreement, among))


def _answers(fields: Iterable[ReleasedField], bytes_of: _Bytes) -> Callable[[Values, date], tuple[Answer, ...]]:
    asked = [
        (bytes_of.position(released.path), literal_of(bytes_of.schema.fields[released.path]), question(released))
        for released in fields
    ]

    def answers(values: Values, on: date) -> tuple[Answer, ...]:
        return tuple(ask(literal(values[position]), on) for position, literal, ask in asked)

    return answers


def _flat(where: Constraint) -> Constraint:
    """An equal constraint in which groups are not nested in their own kind, and an equality stands alone where it can."""
    match where:
        case AllOf(parts=parts):
            members = tuple(part for member in map(_flat, parts) for part in _parts(member, AllOf))
            if AnyOf(()) in members:
                return AnyOf(())
            return members[0] if len(members) == 1 else AllOf(members)
        case AnyOf(parts=parts):
            members = tuple(part for member in map(_flat, parts) for part in _parts(member, AnyOf))
            if AllOf(()) in members:
                return AllOf(())
            members = _merged(members)
            return members[0] if len(members) == 1 else AnyOf(members)
        case _:
            return where


def _parts(where: Constraint, group: type[AllOf | AnyOf]) -> tuple[Constraint, ...]:
    return where.parts if isinstance(where, group) else (where,)


def _merged(members: Iterable[Constraint]) -> tuple[Constraint, ...]:
    """Alternatives with the equalities on one path as one."""
    accepted: dict[str, tuple[str, ...]] = {}
    others: list[Constraint] = []
    for member in members:
        if isinstance(member, Equals):
            accepted[member.path] = tuple(dict.fromkeys(accepted.get(member.path, ()) + member.values))
        else:
            others.append(member)
    return (*(Equals(path, values) for path, values in accepted.items()), *others)


def _equalities(where: Constraint, bytes_of: _Bytes) -> Iterator[Key]:
    """Every (position, literal) that a constraint could be entered through."""
    for leaf in leaves_of(where):
        if isinstance(leaf, Equals):
            position = bytes_of.position(leaf.path)
            yield from ((position, literal) for literal in bytes_of.literals(leaf))


def _ways(where: Constraint, bytes_of: _Bytes) -> Ways:
    """How `where` is entered."""
    match where:
        case Equals():
            keys = frozenset(_equalities(where, bytes_of))
            return lambda _load: keys
        case AllOf(parts=parts):
            return partial(_rarest, tuple(_ways(part, bytes_of) for part in parts))
        case AnyOf(parts=parts):
            return partial(_together, tuple(_ways(part, bytes_of) for part in parts))
        case _:
            return lambda _load: None


def _rarest(parts: tuple[Ways, ...], load: Mapping[Key, int]) -> frozenset[Key] | None:
    ways = [way for part in parts if (way := part(load)) is not None]
    return min(ways, key=lambda way: (max((load[key] for key in way), default=0), len(way)), default=None)


def _together(parts: tuple[Ways, ...], load: Mapping[Key, int]) -> frozenset[Key] | None:
    found: set[Key] = set()
    for part in parts:
        way = part(load)
        if way is None:
            return None
        found |= way
    return frozenset(found)


def _predicate(where: Constraint, bytes_of: _Bytes) -> Predicate:
    """`where` as a closure on the engine's values."""
    match where:
        case AllOf(parts=parts):
            tests = tuple(_predicate(part, bytes_of) for part in parts)
            return _every(tests)
        case AnyOf(parts=parts):
            tests = tuple(_predicate(part, bytes_of) for part in parts)
            return _some(tests)
        case Equals(path=path):
            position, accepted = bytes_of.position(path), bytes_of.literals(where)
            return lambda values: values[position] in accepted
        case Range(path=path, low=low, high=high):
            return _within(bytes_of.position(path), bytes_of.reader(path), low, high)
        case Prefix(path=path, prefix=prefix):
            return _starting(bytes_of.position(path), bytes_of.reader(path), prefix.encode())


def _every(tests: tuple[Predicate, ...]) -> Predicate:
    def test(values: Values) -> bool:
        for part in tests:  # noqa: SIM110 - a generator per record costs more than the tests
            if not part(values):
                return False
        return True

    return test


def _some(tests: tuple[Predicate, ...]) -> Predicate:
    def test(values: Values) -> bool:
        for part in tests:  # noqa: SIM110 - as above
            if part(values):
                return True
        return False

    return test


def _within(position: int, reader: Callable[[bytes], bytes | None], low: str | None, high: str | None) -> Predicate:
    least, most = (low or "").encode(), None if high is None else high.encode()

    def test(values: Values) -> bool:
        text = reader(values[position])
        return text is not None and least <= text and (most is None or text <= most)

    return test


def _starting(position: int, reader: Callable[[bytes], bytes | None], prefix: bytes) -> Predicate:
    def test(values: Values) -> bool:
        text = reader(values[position])
        return text is not None and text.startswith(prefix)

    return test
