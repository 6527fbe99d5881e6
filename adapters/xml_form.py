"""The words of a mapping's `source:` for documents of XML."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from adapters.file_form import FilesForm
from adapters.mapping_values import SELF
from adapters.rest_form import WebForm
from adapters.sources import MAX_DOCUMENT
from adapters.xml_rows import XmlPaths

_XML = "http://www.w3.org/XML/1998/namespace"


class XmlSource(WebForm, FilesForm):
    """Documents in a folder (`path`), or one or more at an address (`url`, with the words of `rest`)."""

    kind: Literal["xml"]
    items: str = SELF
    """Path of the repeated element below the document's own; default: the document itself."""
    namespaces: dict[str, str] = Field(default_factory=dict)
    """What prefixes of source paths stand for."""
    most_bytes: Annotated[int, Field(ge=1)] = MAX_DOCUMENT

    @property
    def paths(self) -> XmlPaths:
        """What source paths mean."""
        return XmlPaths({"xml": _XML, **self.namespaces})


def paths_of(source: Mapping[str, Any]) -> XmlPaths:
    """The same by words that nobody checked yet: what is wrong with them is told when they are."""
    stated = source.get("namespaces")
    known = {str(name): str(iri) for name, iri in stated.items()} if isinstance(stated, Mapping) else {}
    return XmlPaths({"xml": _XML, **known})
