"""How much an agreement tells of each path, and what tells no more than what: the information order of transforms.

Of one path, `tells(known, wanted)` says whether who has all of `known` could work `wanted` out, whatever the record:

- the value itself tells everything of it, a pseudonym and an own reference included (as a ceiling's `keep` allows all);
- a year tells the decade;
- `meerderjarig` is `leeftijd-vanaf` 18; other ages tell nothing of each other;
- bands of a number tell the bands that are made of theirs; bands of an age do so only where they are made of them
  alone, because a partial date that leaves one bound open leaves the whole band open;
- `woont-in` tells a set of municipalities that can be put together from the sets it answers for;
- a pseudonym is the same only for the same agency and purpose, an own reference for the same agency;
- that a path selects the population tells that its value meets a condition: less than the value, and otherwise beside
  the rest (a path used in a population counts as disclosed, by the issue of the policy room, item 3);
- `notify-only` tells least: that there was a change, which every delivery tells.

Everything else is incomparable, also what several answers on one date could narrow down together. Egress names do not
matter.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from broker.model.agreement import Agreement, ReleasedField, Transform
from broker.policy.compiler import leaves_of
from broker.policy.views import SchemaView
from broker.schema.dates import MAJORITY_YEARS

SELECTS = "selects"
"""The grain of a path that the population looks at."""


@dataclass(frozen=True, slots=True)
class Grain:
    """One way of telling something of a path: a transform (or `SELECTS`) and what it depends on."""

    how: str
    arguments: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return " ".join([self.how, *sorted(self.arguments, key=lambda text: (len(text), text))])


_KEEP = Grain(Transform.KEEP.value)
_YEAR = Grain(Transform.YEAR.value)


def grains(agreement: Agreement) -> Mapping[str, frozenset[Grain]]:
    """What a delivery under the agreement tells, by path; `notify-only` adds nothing to the delivery itself."""
    found: dict[str, set[Grain]] = {}
    for released in agreement.fields:
        if released.transform is not Transform.NOTIFY_ONLY:
            found.setdefault(released.path, set()).add(_grain(agreement, released))
    for test in leaves_of(agreement.population.where):
        found.setdefault(test.path, set()).add(Grain(SELECTS))
    return {path: frozenset(held) for path, held in found.items()}


def untold(mine: Agreement, other: Agreement, schema: SchemaView) -> tuple[tuple[str, Grain], ...]:
    """What deliveries under `mine` tell and those under `other` do not, as (path, grain) in order of path."""
    theirs = grains(other)
    return tuple(
        (path, grain)
        for path, held in sorted(grains(mine).items())
        for grain in sorted(held, key=str)
        if not tells(theirs.get(path, frozenset()), grain, text=_is_text(schema, path))
    )


def tells(known: Collection[Grain], wanted: Grain, *, text: bool) -> bool:
    """Whether `known`, all of one path, tell `wanted` of it; `text`: the leaf is a text (a band of it is of an age)."""
    if wanted in known or _KEEP in known:
        return True
    match wanted.how:
        case Transform.DECADE:
            return _YEAR in known
        case Transform.AGE:
            return Grain(Transform.BAND.value, wanted.arguments) in known
        case Transform.BAND:
            bands = (grain for grain in known if grain.how == Transform.BAND)
            usable = [grain for grain in bands if not text or grain.arguments <= wanted.arguments]
            return wanted.arguments <= _united([*usable, *(grain for grain in known if grain.how == Transform.AGE)])
        case Transform.LIVES_IN:
            return _composable([grain for grain in known if grain.how == Transform.LIVES_IN], wanted.arguments)
    return False


def _composable(known: Collection[Grain], wanted: frozenset[str]) -> bool:
    """Whether the answers for the known sets give the answer for `wanted`: no answer is shared with one outside it."""
    sets = [grain.arguments for grain in known]
    outside = {_answers(sets, code) for code in _united(known) - wanted} | {_answers(sets, "elsewhere")}
    return outside.isdisjoint(_answers(sets, code) for code in wanted)


def _answers(sets: Collection[frozenset[str]], code: str) -> tuple[bool, ...]:
    return tuple(code in each for each in sets)


def _united(known: Collection[Grain]) -> frozenset[str]:
    return frozenset[str]().union(*(grain.arguments for grain in known))


def _grain(agreement: Agreement, released: ReleasedField) -> Grain:
    match released.transform:
        case Transform.ADULT:
            return Grain(Transform.AGE.value, frozenset({str(MAJORITY_YEARS)}))
        case Transform.PSEUDONYM:
            return Grain(Transform.PSEUDONYM.value, frozenset({f"{agreement.agency}/{agreement.purpose}"}))
        case Transform.OWN_REFERENCE:
            return Grain(Transform.OWN_REFERENCE.value, frozenset({agreement.agency}))
    return Grain(released.transform.value, frozenset(released.arguments))


def _is_text(schema: SchemaView, path: str) -> bool:
    leaf = schema.fields.get(path)
    return leaf is not None and leaf.type == "string"
