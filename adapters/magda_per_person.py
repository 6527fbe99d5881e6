"""One record per person of what an answer states one by one: a person's proofs, files, rights.

Such an answer is the complete state of those whom it is about, so that a record holds all of one person's or is not
made: one that lacks what could not be read would say that the person does not have it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from adapters import magda_xml as xml
from broker.errors import PoisonRecord

Value = dict[str, Any]


def per_person(
    elements: Iterable[Element],
    people: Callable[[Element], Sequence[str]],
    read: Callable[[Element, str], Value],
    array: str,
    head: Mapping[str, Any],
) -> list[Value | PoisonRecord]:
    """A value for each person, in the order in which the answer first names them, or why that person's cannot be made.

    `people` tells whom an element is about, `read` what it states for one of them; either may raise `PoisonRecord`.
    `array` is the field that holds what was read, in the answer's order. Where it cannot be told whom an element is
    about it could be about anyone: that is the only outcome then.
    """
    stated: dict[str, list[Value]] = {}
    refused: dict[str, PoisonRecord] = {}
    for element in elements:
        try:
            numbers = people(element)
        except PoisonRecord as error:
            return [error]
        for number in numbers:
            own = stated.setdefault(number, [])
            try:
                own.append(read(element, number))
            except PoisonRecord as error:
                refused.setdefault(number, PoisonRecord(error.reason, f"{array}.{error.path}"))
    return [refused.get(number) or {**head, "insz": number, array: own} for number, own in stated.items()]


def only_person(path: str) -> Callable[[Element], list[str]]:
    """Whom an element is about that has one national number, at `path`.

    The function raises `PoisonRecord` FIELD_MISSING or INSZ_INVALID at `insz`.
    """

    def people(element: Element) -> list[str]:
        found = xml.insz(element, path, "insz")
        if found is None:
            raise PoisonRecord("FIELD_MISSING", "insz")
        return [found]

    return people
