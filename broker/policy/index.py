"""The equality index of an engine: which plans each access predicate leads to.

The next index takes over every bucket whose plans are the same: of thousands of agreements, only those that changed are
put in anew.

Access predicate (Le Subscribe, SIGMOD 2001): each `where` is entered through one equality that it implies, the one
whose value fewest other agreements ask for; what is left of it is tested only after a hit. A `where` that implies
no equality (ranges and prefixes alone, everyone) is looked at for every record.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from broker.policy.buckets import Bucket, Plan

Key = tuple[int, bytes]
"""Place of a path among the engine's, and encoded value."""

Ways = Callable[[Mapping[Key, int]], frozenset[Key] | None]
"""From how many agreements ask for each key to the keys of which at least one is hit whenever a `where` holds; None if
it implies no equality."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """How a plan enters the index: `asked` are all keys that its `where` names; `exact`: it is one equality, or everyone."""

    asked: tuple[Key, ...]
    ways: Ways
    exact: bool


_Member = tuple[Plan, bool, bool]
"""A plan, whether it enters exactly, and whether it is in several buckets."""


@dataclass(frozen=True, slots=True)
class Index:
    """Buckets by key, under None that of the plans that are looked at for every record; `members` is what is in each."""

    buckets: Mapping[Key | None, Bucket]
    members: Mapping[Key | None, Sequence[_Member]]

    def tables(self) -> tuple[tuple[int, Mapping[bytes, Bucket]], ...]:
        """Buckets by path and value, in order of the paths."""
        found: dict[int, dict[bytes, Bucket]] = {}
        for key, bucket in self.buckets.items():
            if key is not None:
                found.setdefault(key[0], {})[key[1]] = bucket
        return tuple(sorted(found.items()))


NO_INDEX = Index({}, {})


def index_of(entries: Sequence[tuple[Plan, Entry]], former: Index = NO_INDEX) -> Index:
    """Index over plans in their order, the same whatever the former one was."""
    load = Counter(chain.from_iterable(entry.asked for _, entry in entries))
    members: dict[Key | None, list[_Member]] = {}
    for plan, entry in entries:
        keys = entry.ways(load)
        member = plan, entry.exact, keys is not None and len(keys) > 1
        for key in (None,) if keys is None else keys:
            members.setdefault(key, []).append(member)
    buckets = {
        key: former.buckets[key] if former.members.get(key) == found else _bucket(found)
        for key, found in members.items()
    }
    return Index(buckets, members)


def _bucket(members: Iterable[_Member]) -> Bucket:
    plain: list[Plan] = []
    shared: list[Plan] = []
    rest: list[Plan] = []
    filed: list[Plan] = []
    filed_rest: list[Plan] = []
    for plan, exact, several in members:
        if plan.agreement.population.dossiers:
            (filed if exact else filed_rest).append(plan)
        elif not exact or plan.answers is not None or plan.agreement.population.consent:
            rest.append(plan)
        else:
            (shared if several else plain).append(plan)
    return Bucket(plain, shared, rest, filed, filed_rest)
