"""Agreements of one product to an `Engine`: constraints become closures on encoded bytes behind an equality index.

Access predicate (Le Subscribe, SIGMOD 2001): each `where` is entered through one equality that it implies, the one
whose value fewest other agreements ask for; what is left of it is tested only after a hit. A `where` that implies
no equality (ranges and prefixes alone, everyone) is looked at for every record.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

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
from broker.model.decision import Departure, Kind, Reason, Release, Withhold
from broker.policy.attest import ATTESTED, TIMED, Answer, question
from broker.policy.buckets import FOREVER, Bucket, Plan, Values
from broker.policy.calendar import milliseconds
from broker.policy.engine import Engine
from broker.policy.reference import is_attestation
from broker.policy.standing import Former, Standing, released
from broker.policy.views import EncodeLiteral, SchemaView
from broker.schema.leaf_values import literal_of
from broker.schema.varints import content

Predicate = Callable[[Values], bool]
_Key = tuple[int, bytes]


def compile_engine(
    standings: Iterable[Standing], schema: SchemaView, encode: EncodeLiteral, *, paths: Iterable[str] = ()
) -> Engine:
    """Engine over the agreements that are in force on `schema.product`, in order of agreement id.

    `paths` adds selected paths (say, all that any ceiling makes selectable), so that a lane's stored values survive an
    amendment. Raises `Invalid` for a path that cannot be selected: the static check refuses such an agreement before.
    """
    chosen = sorted(
        (standing for standing in standings if standing.in_force and standing.agreement.product == schema.product),
        key=lambda standing: standing.agreement.id,
    )
    wheres = [_flat(standing.agreement.population.where) for standing in chosen]
    populations = [former.agreement.population.where for standing in chosen for former in standing.formers]
    used = {leaf.path for where in (*wheres, *populations) for leaf in leaves_of(where)} | {
        path for standing in chosen for path in _compared(standing.agreement)
    }
    ordered = tuple(sorted(used | set(paths)))
    bytes_of = _Bytes(schema, encode, {path: position for position, path in enumerate(ordered)})
    plans = tuple(
        _plan(index, standing, where, bytes_of)
        for index, (standing, where) in enumerate(zip(chosen, wheres, strict=True))
    )
    load = Counter(key for where in wheres for key in _equalities(where, bytes_of))
    tables: dict[int, dict[bytes, _Drawer]] = {}
    everyone = _Drawer()
    for plan, where in zip(plans, wheres, strict=True):
        keys = _access(where, bytes_of, load)
        exact = isinstance(where, Equals) or where == AllOf(())
        if keys is None:
            everyone.put(plan, exact=exact, several=False)
            continue
        for position, literal in keys:
            drawer = tables.setdefault(position, {}).setdefault(literal, _Drawer())
            drawer.put(plan, exact=exact, several=len(keys) > 1)
    return Engine(
        ordered,
        plans,
        tuple(
            (position, {literal: drawer.bucket() for literal, drawer in drawers.items()})
            for position, drawers in sorted(tables.items())
        ),
        everyone.bucket() if everyone.used else None,
    )


def leaves_of(where: Constraint) -> Iterator[Equals | Range | Prefix]:
    """The tests on paths that a constraint is made of, in document order."""
    if isinstance(where, AllOf | AnyOf):
        for part in where.parts:
            yield from leaves_of(part)
    else:
        yield where


@dataclass(slots=True)
class _Drawer:
    """A bucket while it is being filled."""

    plain: list[Plan] = field(default_factory=list)
    shared: list[Plan] = field(default_factory=list)
    rest: list[Plan] = field(default_factory=list)
    filed: list[Plan] = field(default_factory=list)
    filed_rest: list[Plan] = field(default_factory=list)

    @property
    def used(self) -> bool:
        return any((self.plain, self.shared, self.rest, self.filed, self.filed_rest))

    def put(self, plan: Plan, *, exact: bool, several: bool) -> None:
        if plan.agreement.population.dossiers:
            (self.filed if exact else self.filed_rest).append(plan)
        elif not exact or plan.answers is not None or plan.agreement.population.consent:
            self.rest.append(plan)
        else:
            (self.shared if several else self.plain).append(plan)

    def bucket(self) -> Bucket:
        return Bucket(self.plain, self.shared, self.rest, self.filed, self.filed_rest)


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
    releases = {kind: Release(agreement.id, kind) for kind in Kind}
    attested, timed = _asked(agreement, ATTESTED), _asked(agreement, TIMED)
    return Plan(
        index=index,
        agreement=agreement,
        keys=frozenset(released.key for released in agreement.fields),
        state=standing.state,
        above_ceiling=standing.above_ceiling,
        start=bytes_of.instant(agreement.term.start, -FOREVER),
        end=bytes_of.instant(agreement.term.end, FOREVER),
        amended=bytes_of.instant(standing.amended_at, -FOREVER),
        activated=bytes_of.instant(standing.activated_at, FOREVER),
        where=_predicate(where, bytes_of),
        answers=_answers(attested, bytes_of) if is_attestation(agreement) else None,
        timed=_answers(timed, bytes_of) if timed else None,
        releases=releases,
        departures={reason: Release(agreement.id, Kind.LEFT_POPULATION, None, reason) for reason in Departure},
        withholds={reason: Withhold(agreement.id, reason) for reason in Reason if reason.receipted},
        formers=tuple(
            (milliseconds(former.until), _former(index, standing, former, bytes_of)) for former in standing.formers
        ),
    )


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


def _equalities(where: Constraint, bytes_of: _Bytes) -> Iterator[_Key]:
    """Every (position, literal) that a constraint could be entered through."""
    for leaf in leaves_of(where):
        if isinstance(leaf, Equals):
            position = bytes_of.position(leaf.path)
            yield from ((position, literal) for literal in bytes_of.literals(leaf))


def _access(where: Constraint, bytes_of: _Bytes, load: Mapping[_Key, int]) -> frozenset[_Key] | None:
    """Index entries of which at least one is hit whenever `where` holds; None if it implies no equality."""
    if isinstance(where, Equals):
        return frozenset(_equalities(where, bytes_of))
    if isinstance(where, AllOf):
        ways = [way for part in where.parts if (way := _access(part, bytes_of, load)) is not None]
        return min(ways, key=lambda way: (max((load[key] for key in way), default=0), len(way)), default=None)
    if isinstance(where, AnyOf):
        found: set[_Key] = set()
        for part in where.parts:
            way = _access(part, bytes_of, load)
            if way is None:
                return None
            found |= way
        return frozenset(found)
    return None


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
