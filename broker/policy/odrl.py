"""Agreements to ODRL 2.2 and DPV as JSON-LD and back, losslessly (CAP-22): `from_odrl(to_odrl(agreement)) == agreement`.

The reader takes untrusted documents. It fetches nothing and interprets no context: it accepts exactly the documents that
`to_odrl` writes (in any order of keys, with or without the names of parties and purpose) and refuses every other one with the
place where it differs. A refusal never quotes the document.
"""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from broker.errors import Invalid, TooLarge
from broker.model.agreement import Agreement
from broker.model.purpose import Purpose
from broker.model.registered import Organisation
from broker.policy import documents
from broker.policy.forms import measure
from broker.policy.odrl_reading import Place, Reading
from broker.policy.odrl_terms import BASE
from broker.policy.odrl_writing import Writing

MEDIA_TYPE = "application/ld+json"
LONGEST_TEXT = 1024 * 1024
"""Characters; an agreement document of 256 KiB grows about threefold."""

_DEEPEST = 48  # a group of a population takes three levels here and two in an agreement document
_MOST_VALUES = 100_000
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def to_odrl(
    agreement: Agreement,
    *,
    organisations: Mapping[str, Organisation] = _NOTHING,
    purposes: Mapping[str, Purpose] = _NOTHING,
    base: str = BASE,
) -> dict[str, Any]:
    """The agreement as one JSON-LD object of type `odrl:Agreement`, with its context written out.

    `organisations` and `purposes` (by slug and code) add names, OVO and KBO codes and the DPV purpose where they are known;
    `base` begins the IRIs of everything that has none elsewhere.
    """
    return Writing(base, organisations, purposes).policy(documents.agreement_document(agreement))


def from_odrl(source: str | Mapping[str, Any], *, base: str = BASE) -> Agreement:
    """The agreement that `to_odrl` wrote, from JSON text or its object; raises `Invalid` with the place for any other."""
    given = _parsed(source) if isinstance(source, str) else source
    measure(given, deepest=_DEEPEST, most=_MOST_VALUES)
    policy = Reading(Place(given))
    agreement = documents.agreement(policy.document())
    written = to_odrl(agreement, organisations=policy.organisations(), purposes=policy.purposes(), base=base)
    for difference in _differences(written, given, "document"):
        raise Invalid(difference)
    return agreement


def _parsed(text: str) -> Any:
    if len(text) > LONGEST_TEXT:
        raise TooLarge(f"an ODRL document has at most {LONGEST_TEXT} characters")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise Invalid("the document says one thing twice")
        return dict(pairs)

    def no_number(_text: str) -> Any:
        raise Invalid("the document holds a number that is no whole number")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=no_number, parse_float=no_number)
    except (ValueError, RecursionError):
        raise Invalid("not a JSON document") from None


def _differences(written: Any, given: Any, place: str) -> Iterable[str]:
    """Where `given` is not what `written` says, outermost first."""
    if isinstance(written, dict) and isinstance(given, Mapping):
        if given.keys() - written.keys():
            yield f"{place}: holds a term that has no meaning here"
        for key, value in written.items():
            if key not in given:
                yield f"{place}: lacks {key}"
            else:
                yield from _differences(value, given[key], f"{place}.{key}")
    elif isinstance(written, list) and isinstance(given, list):
        if len(written) != len(given):
            yield f"{place}: expected {len(written)} of these, not {len(given)}"
        for number, pair in enumerate(zip(written, given, strict=False)):
            yield from _differences(*pair, f"{place}.{number}")
    elif type(written) is not type(given) or written != given:
        yield f"{place}: not what the rest of the document says"
