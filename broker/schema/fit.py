"""Whether a transform can be applied to a leaf, with the arguments given: the one place that says so.

The static check of an agreement makes findings of it, a projection refuses. Each function gives what is wrong and what
to do, or None; neither quotes a value of a record.
"""

import re
from itertools import pairwise

from broker.model.agreement import ReleasedField, Transform
from broker.schema.leaf_values import Leaf

OLDEST = 150
NUMBERS = frozenset({"int", "long"})
_TEXT = frozenset({"string"})
_ON_TEXT = frozenset(
    {Transform.PSEUDONYM, Transform.YEAR, Transform.DECADE, Transform.ADULT, Transform.AGE, Transform.LIVES_IN}
)
_WITH_ARGUMENTS = frozenset({Transform.BAND, Transform.AGE, Transform.LIVES_IN})
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_NIS = re.compile(r"[0-9]{5}", re.ASCII)


def type_misfit(transform: Transform, leaf: Leaf) -> str | None:
    """What is wrong with the leaf's type for this transform."""
    taken = _TEXT if transform in _ON_TEXT else _TEXT | NUMBERS if transform is Transform.BAND else None
    if taken is None or (leaf.type in taken and not leaf.repeated):
        return None
    wanted = "one text value" if taken is _TEXT else "one date of birth or whole number"
    return f"{transform} needs {wanted}; this field is {'repeated' if leaf.repeated else leaf.type}"


def argument_misfit(released: ReleasedField) -> str | None:
    """What is wrong with the transform's arguments."""
    given = released.arguments
    match released.transform:
        case Transform.BAND if not given or not all(map(_NUMBER.fullmatch, given)):
            return "band needs the lower bounds of its bands: give one whole number or more, such as 18, 25, 65"
        case Transform.BAND if any(int(low) >= int(high) for low, high in pairwise(given)):
            return "the bounds of a band go up: order them, and name each once"
        case Transform.AGE if len(given) != 1 or not _NUMBER.fullmatch(given[0]) or int(given[0]) > OLDEST:
            return f"leeftijd-vanaf needs one age: give a whole number from 0 to {OLDEST}"
        case Transform.LIVES_IN if not given or not all(map(_NIS.fullmatch, given)):
            return "woont-in needs municipalities: give one NIS code of five digits or more"
        case transform if given and transform not in _WITH_ARGUMENTS:
            return f"{transform} takes no arguments: drop them"
    return None
