"""Adapters that a mapping file describes, by the kind of source that it names: one table."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from adapters import (
    ldes_form,
    ldes_poll,
    mapping,
    mapping_form,
    postgres_build,
    raw_topic,
    rest_poll,
    xml_documents,
    xml_form,
)
from adapters.csv_form import CsvSource
from adapters.csv_rows import CsvFormat
from adapters.file_drop import FileDrop
from adapters.file_form import files_of
from adapters.ldes_form import LdesSource
from adapters.mapping import ProductMapping
from adapters.mapping_errors import Finding, MappingRefused
from adapters.mapping_paths import Paths, Pointers
from adapters.postgres_form import PostgresSource
from adapters.raw_form import RawSource
from adapters.rest_form import RestSource
from adapters.sdk import Adapter
from adapters.xml_form import XmlSource
from broker.errors import Invalid
from broker.schema.avro import Schema

FILE = "mapping.yaml"
"""Name of the mapping in an adapter's folder."""


@runtime_checkable
class Mapped(Adapter, Protocol):
    """An adapter of a mapping file, as far as its author wants to look inside."""

    @property
    def mapping(self) -> ProductMapping:
        """What it is made of."""

    def rows(self) -> AsyncIterator[Any]:
        """The source's rows as the mapping gets them, from the first one on."""
        ...

    def findings(self) -> list[Finding]:
        """What of the mapping the source itself does not have; raises `Invalid` where that cannot be seen."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of source: the words that its `source:` takes, and what reads it.

    `flat`: its rows are columns of text. `build` takes the mapping, the words, and `--source` where it was given.
    `paths` makes of the words, which nobody checked yet, what source paths mean.
    """

    form: type[BaseModel]
    build: Callable[[ProductMapping, Any, str | None], Mapped]
    flat: bool = False
    paths: Callable[[Mapping[str, Any]], Paths] = lambda _source: Pointers()


def _csv(made: ProductMapping, form: CsvSource, given: str | None) -> FileDrop:
    return FileDrop(made, CsvFormat(form), files_of(made, form, given))


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "csv": Reader(CsvSource, _csv, flat=True),
        "ldes": Reader(LdesSource, ldes_poll.build, paths=ldes_form.paths_of),
        "postgres": Reader(PostgresSource, postgres_build.build),
        "raw": Reader(RawSource, raw_topic.build),
        "rest": Reader(RestSource, rest_poll.build),
        "xml": Reader(XmlSource, xml_documents.build, paths=xml_form.paths_of),
    }
)


def load_mapping(path: Path, schema_of: Callable[[str], Schema]) -> ProductMapping:
    """The mapping in a file, or in a folder as `FILE`; raises `MappingRefused` with all mistakes, and `Invalid`."""
    file = path / FILE if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    return mapping.load(file, text, schema_of, flat=lambda kind: kind in READERS and READERS[kind].flat, paths=_paths)


def _paths(source: Mapping[str, Any]) -> Paths:
    reader = READERS.get(str(source.get("kind")))
    return Pointers() if reader is None else reader.paths(source)


def build(made: ProductMapping, source: str | None) -> Mapped:
    """The adapter that reads the mapping's source, or another one of its kind; raises `MappingRefused` and `Invalid`."""
    reader = READERS.get(str(made.source.get("kind")))
    if reader is None:
        told = f"`kind` is one of {', '.join(READERS)}"
        raise MappingRefused(str(made.file), (Finding(made.text.line(("source", "kind")), "source.kind", told),))
    form, findings = mapping_form.form(reader.form, dict(made.source), made.text, ("source",))
    if findings:
        raise MappingRefused(str(made.file), tuple(findings))
    return reader.build(made, form, source)
