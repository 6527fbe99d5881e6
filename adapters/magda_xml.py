"""Reading a MAGDA answer's XML: namespaces dropped, texts and partial dates by path.

Every function takes a path of local element names below an element; a last step `@Name` is an attribute.
"""

import re
from datetime import date, datetime, time
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from adapters.sources import whole_seconds
from adapters.xml_body import parsed
from broker.errors import Invalid, PoisonRecord
from broker.model.identifiers import Insz, parse_insz

_BRUSSELS = ZoneInfo("Europe/Brussels")
_PARTIAL_DATE = re.compile(r"[0-9]{4}-(0[0-9]|1[0-2])-([0-2][0-9]|3[01])")


def parse(body: bytes) -> Element:
    """Root element without namespaces; raises `PoisonRecord` as `xml_body.parsed` does."""
    root = parsed(body)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if any("}" in name for name in element.attrib):
            element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    return root


def text(element: Element | None, path: str) -> str | None:
    """Text at `path` without surrounding blanks; None where it is absent or empty."""
    if element is None:
        return None
    parent, mark, attribute = f"/{path}".rpartition("/@")
    if mark:
        holder = element.find(parent[1:]) if parent else element
        found = None if holder is None else holder.get(attribute)
    else:
        found = element.findtext(path)
    return (found or "").strip() or None


def texts(element: Element | None, path: str) -> list[str]:
    """Texts at `path` that are not empty, in document order."""
    found = [] if element is None else element.findall(path)
    return [stripped for each in found if (stripped := (each.text or "").strip())]


def required(element: Element | None, path: str, field: str) -> str:
    """Text at `path`; raises `PoisonRecord` FIELD_MISSING at the schema path `field`."""
    found = text(element, path)
    if found is None:
        raise PoisonRecord("FIELD_MISSING", field)
    return found


def partial_date(element: Element | None, path: str, field: str) -> str | None:
    """Partial date (`2000-00-00`) at `path`, or None; raises `PoisonRecord` DATE_INVALID at the schema path `field`."""
    found = text(element, path)
    return None if found is None else checked_date(found, field)


def checked_date(stated: str, field: str) -> str:
    """The partial date that `stated` is; raises `PoisonRecord` DATE_INVALID at the schema path `field`."""
    if not _PARTIAL_DATE.fullmatch(stated):
        raise PoisonRecord("DATE_INVALID", field)
    return stated


def insz(element: Element | None, path: str, field: str) -> Insz | None:
    """National number at `path`, or None; raises `PoisonRecord` INSZ_INVALID at the schema path `field`."""
    found = text(element, path)
    if found is None:
        return None
    try:
        return parse_insz(found)
    except Invalid:
        raise PoisonRecord("INSZ_INVALID", field) from None


def instant(element: Element | None, path: str) -> str:
    """`Datum` and `Tijd` below `path`, Belgian local time unless they say otherwise, as RFC 3339 in UTC.

    Raises `PoisonRecord` TIME_INVALID at `recordedAt`.
    """
    day, clock = text(element, f"{path}/Datum"), text(element, f"{path}/Tijd")
    try:
        moment = datetime.combine(date.fromisoformat(day or ""), time.fromisoformat(clock or ""))
    except ValueError:
        raise PoisonRecord("TIME_INVALID", "recordedAt") from None
    return whole_seconds(moment if moment.tzinfo else moment.replace(tzinfo=_BRUSSELS))


def running(elements: list[Element]) -> list[Element]:
    """Elements without an end date: what holds now, and not what held before."""
    return [element for element in elements if not text(element, "@DatumEinde")]


def latest(elements: list[Element]) -> Element | None:
    """The one that holds now and began last; None where none holds. Of two of the same day the later in the answer."""
    return max(reversed(running(elements)), key=lambda element: text(element, "@DatumBegin") or "", default=None)
