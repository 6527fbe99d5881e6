"""The words of a mapping's `source:` for a Linked Data Event Stream."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from adapters.rdf_rows import RdfPaths
from adapters.web_auth import Secret


class LdesSource(BaseModel):
    """A stream or a page of one (`url`), or documents with members in a folder (`path`)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    kind: Literal["ldes"]
    url: str | None = None
    path: str | None = None
    """Relative to the mapping file; `--source` goes before both."""
    prefixes: dict[str, str] = Field(default_factory=dict)
    """What prefixes of source paths stand for."""
    member: str | None = None
    """Class of the members, as prefix:Name or <IRI>; default: what the stream says are its members."""
    authorization: Secret | None = None
    """Value of the header of that name."""

    @property
    def paths(self) -> RdfPaths:
        """What source paths mean."""
        return RdfPaths(self.prefixes)


def paths_of(source: Mapping[str, Any]) -> RdfPaths:
    """The same by words that nobody checked yet: what is wrong with them is told when they are."""
    stated = source.get("prefixes")
    return RdfPaths({str(name): str(iri) for name, iri in stated.items()} if isinstance(stated, Mapping) else {})
