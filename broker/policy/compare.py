"""What one agreement lets through and another does not: equal, wider, narrower or incomparable, with example records.

What an agreement releases for a record, at an instant, is how much it tells of each path (`broker.policy.grains`) if
the record belongs to its population and its term holds, and nothing otherwise. One agreement is at most as wide as
another if it tells no more for any record at any instant; a path that it selects on counts as told, so that a
population narrowed by a path that was not used before is incomparable, not narrower. The answer is exact: populations
are compared by `broker.policy.record_space` over every record that the schema can hold, with and without an open
dossier and the subject's consent.

Both are taken as if in force; dossiers and consents as if registered under either alike. For whom the data is and what
the protocol says beside it is no part of the verdict: clauses that differ there are listed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

from broker.errors import Invalid
from broker.model.agreement import Agreement, AllOf
from broker.policy.grains import Grain, grains, untold
from broker.policy.record_space import Space
from broker.schema.avro import Schema


class Verdict(StrEnum):
    """The new agreement, relative to the old one."""

    EQUAL = "equal"
    WIDER = "wider"
    NARROWER = "narrower"
    INCOMPARABLE = "incomparable"


class Side(StrEnum):
    """Which of the two agreements."""

    OLD = "old"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A record for which only one side releases `released` (path and how much), at `instant`, by one clause.

    `record` holds the values of all paths that either population looks at (other paths may hold anything); `dossier`
    and `consent`: whether a file is open on the subject and whether it agrees. `clause` is `fields`, `term`,
    `population.where`, `population.dossiers` or `population.consent`.
    """

    only: Side
    clause: str
    record: Mapping[str, str | None]
    instant: datetime
    dossier: bool
    consent: bool
    released: tuple[tuple[str, Grain], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict; one counterexample per clause that is wider on a side; clauses that differ beside the verdict."""

    verdict: Verdict
    counterexamples: tuple[Counterexample, ...]
    beside: tuple[str, ...]


_COMPARED = frozenset({"id", "version", "fields", "population", "term"})


def compare(old: Agreement, new: Agreement, schema: Schema) -> Comparison:
    """`new` relative to `old`, both on this schema's product.

    Raises `Invalid` for agreements on different products, for a population that cannot be looked at (the static check
    refuses it), and for populations that differ in too many ways to go through (`record_space.MOST_LOOKS`).
    """
    if (old.source, old.product) != (new.source, new.product) or new.product != schema.product:
        raise Invalid("only agreements on one product of one source can be compared")
    space = Space(schema, (old.population.where, new.population.where))
    wider = tuple(_only(new, old, schema, space, Side.NEW))
    narrower = tuple(_only(old, new, schema, space, Side.OLD))
    verdict = {
        (False, False): Verdict.EQUAL,
        (True, False): Verdict.WIDER,
        (False, True): Verdict.NARROWER,
        (True, True): Verdict.INCOMPARABLE,
    }[bool(wider), bool(narrower)]
    names = (clause.name for clause in fields(Agreement) if clause.name not in _COMPARED)
    beside = tuple(name for name in names if getattr(old, name) != getattr(new, name))
    return Comparison(verdict, (*wider, *narrower), beside)


def narrows(old: Agreement, new: Agreement, schema: Schema) -> bool:
    """Whether `new` surely releases no more than `old`; false also where that cannot be told."""
    try:
        return compare(old, new, schema).verdict in {Verdict.EQUAL, Verdict.NARROWER}
    except Invalid:
        return False


def _only(mine: Agreement, other: Agreement, schema: Schema, space: Space, side: Side) -> Iterator[Counterexample]:
    """What `mine` releases and `other` does not, one example per clause; nothing for one that never releases."""
    ours, theirs = mine.population, other.population
    someone = space.record(AllOf((ours.where, theirs.where))) or space.record(ours.where)
    # A term begins and ends at one of these, so that between them nothing changes.
    turns = {instant for term in (mine.term, other.term) for instant in (term.start, term.end) if instant is not None}
    instants = [instant for instant in sorted(turns) if mine.term.holds(instant)]
    if someone is None or not instants:
        return
    both = [instant for instant in instants if other.term.holds(instant)]
    at = (both or instants)[0]
    all_told = tuple((path, grain) for path, held in sorted(grains(mine).items()) for grain in sorted(held, key=str))

    more = untold(mine, other, schema)
    if more:
        yield Counterexample(side, "fields", someone, at, dossier=True, consent=True, released=more)
    elsewhere = space.record(ours.where, theirs.where)
    if elsewhere is not None:
        yield Counterexample(side, "population.where", elsewhere, at, dossier=True, consent=True, released=all_told)
    if theirs.dossiers and not ours.dossiers:
        yield Counterexample(side, "population.dossiers", someone, at, dossier=False, consent=True, released=all_told)
    if theirs.consent and not ours.consent:
        yield Counterexample(side, "population.consent", someone, at, dossier=True, consent=False, released=all_told)
    if len(both) < len(instants):
        alone = next(instant for instant in instants if instant not in both)
        yield Counterexample(side, "term", someone, alone, dossier=True, consent=True, released=all_told)
