"""XML of a source that is not trusted: no DTD, no entities, bounded size and depth."""

from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from broker.errors import PoisonRecord

MOST_NODES = 1 << 20
"""Elements and attributes of one document, counted by their signs before anything is parsed: each costs memory."""
MOST_DEPTH = 100
"""Levels of elements."""


def parsed(body: bytes | None) -> Element:
    """Root element of `body` (None: it was larger than allowed), its names in Clark notation.

    Raises `PoisonRecord`: DOCUMENT_TOO_LARGE, XML_FORBIDDEN (a DTD or an entity), XML_MALFORMED, XML_TOO_LARGE (more
    elements or attributes than `MOST_NODES`, which a small document can have, or too deep).
    """
    if body is None:
        raise PoisonRecord("DOCUMENT_TOO_LARGE")
    if body.count(b"<") + body.count(b"=") > MOST_NODES:
        raise PoisonRecord("XML_TOO_LARGE")
    root = None
    reason = "XML_MALFORMED"
    try:
        root = fromstring(body, forbid_dtd=True)
    except DefusedXmlException:
        reason = "XML_FORBIDDEN"
    except (ParseError, ValueError, LookupError):
        pass
    if root is None:
        # Raised outside the handler, so that no traceback quotes the document.
        raise PoisonRecord(reason)
    if _deeper(root, MOST_DEPTH):
        raise PoisonRecord("XML_TOO_LARGE")
    return root


def _deeper(root: Element, most: int) -> bool:
    level = [root]
    for _ in range(most):
        level = [child for element in level for child in element]
        if not level:
            return False
    return True
