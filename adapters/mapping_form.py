"""The words of a mapping file: what may stand in it, before anything is compared with a schema."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from adapters.mapping_errors import Finding
from adapters.mapping_text import Place, Text
from broker.errors import Invalid
from broker.model import topics

UNSET: Any = object()
"""Stands for a word that is not there, where null means something."""

Literals = str | bool | int | list[str | bool | int]
_MAKES = ("from", "const", "template", "python", "each")


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class NumberForm(_Form):
    """How a source writes numbers."""

    decimal: str = Field(default=".", min_length=1, max_length=1)
    thousands: str = Field(default="", max_length=1)


class Rule(_Form):
    """How one field gets its value; exactly one of `from`, `const`, `template`, `python` and `each` makes it."""

    source: str | None = Field(default=None, alias="from")
    const: Any = UNSET
    template: str | None = None
    python: str | None = None
    each: str | None = None
    fields: dict[str, Any] | None = None
    codes: dict[str, Any] | None = None
    default: Any = UNSET
    date: str | list[str] | None = None
    zone: str = "Europe/Brussels"
    number: Literal[True] | NumberForm | None = None
    trim: bool = True
    split: str | None = Field(default=None, min_length=1)
    identifier: Literal["insz", "kbo", "vestiging", "nis", "ovo", "puri"] | None = None
    when: dict[str, Literals] | None = None
    required: bool = False

    def makes(self) -> list[str]:
        """Which of the words that make a value are there."""
        found = (self.source, None if self.const is UNSET else "", self.template, self.python, self.each)
        return [word for word, given in zip(_MAKES, found, strict=True) if given is not None]

    def told(self) -> str:
        """The rule in one short line, for a person who compares it with what it made."""
        words = self.model_dump(by_alias=True, exclude_unset=True)
        shown = {word: f"{len(given)} codes" if word == "codes" else given for word, given in words.items()}
        shown.pop("fields", None)
        return ", ".join(f"{word}: {given}" for word, given in shown.items())


class Document(_Form):
    """One mapping file: a source of one product. `source` holds the words of the adapter that it names as `kind`."""

    adapter: str
    product: str
    organisation: str
    source: dict[str, Any]
    id: Any
    subject: Any = None
    kind: Any = None
    recorded_at: Any = Field(alias="recordedAt")
    delete_when: dict[str, Literals] | None = None
    skip_when: dict[str, Literals] | None = None
    snapshot: bool = False
    shrink: Literal["refused", "allowed"] = "refused"
    clock_tolerance_s: int | None = Field(default=None, ge=0, le=86_400)
    drift: Literal["report", "stop"] = "report"
    fields: dict[str, Any]

    @field_validator("adapter", "organisation")
    @classmethod
    def _slug(cls, stated: str) -> str:
        return _named(topics.slug, stated)

    @field_validator("product")
    @classmethod
    def _product(cls, stated: str) -> str:
        return _named(topics.product_id, stated)


def _named(check: Callable[[str], str], stated: str) -> str:
    try:
        return check(stated)
    except Invalid as error:
        raise ValueError(str(error)) from None


def document(text: Text) -> tuple[Document | None, list[Finding]]:
    """The document's form, or everything that keeps it from being one."""
    if not isinstance(text.data, Mapping):
        return None, [Finding(1, "", "a mapping is a list of keys: adapter, product, organisation, source, id, fields")]
    return _checked(Document, text.data, text, ())


def rule(stated: Any, text: Text, place: Place, path: str) -> tuple[Rule | None, list[Finding]]:
    """One rule: a text is short for `from`."""
    if isinstance(stated, str):
        stated = {"from": stated}
    if not isinstance(stated, Mapping):
        example = f"{{const: {'[]' if stated == [] else stated}}}"
        return None, [Finding(text.line(place), path, f"is a source path or a rule; a fixed value is {example}")]
    made, findings = _checked(Rule, stated, text, place, path)
    if made is not None and len(made.makes()) != 1:
        findings = [Finding(text.line(place), path, f"a rule has exactly one of {', '.join(_MAKES)}")]
    if made is not None and (made.each is None) != (made.fields is None):
        findings.append(Finding(text.line(place), path, "`each` and `fields` go together"))
    return (None if findings else made), findings


def form(model: type[BaseModel], stated: Any, text: Text, place: Place) -> tuple[Any, list[Finding]]:
    """A part of the file as the adapter that reads it wants it."""
    return _checked(model, stated, text, place)


def _checked(model: Any, stated: Any, text: Text, place: Place, path: str = "") -> tuple[Any, list[Finding]]:
    try:
        return model.model_validate(stated), []
    except ValidationError as error:
        return None, [_finding(model, each, text, place, path) for each in error.errors(include_url=False)]


def _finding(model: type[BaseModel], error: Any, text: Text, place: Place, path: str) -> Finding:
    where = tuple(part for part in error["loc"] if isinstance(part, int) or part in _names(text, place, error["loc"]))
    key = str(error["loc"][0]) if error["loc"] else ""
    match error["type"]:
        case "missing":
            told = f"`{key}` is missing: add it"
        case "extra_forbidden":
            known = ", ".join(field.alias or name for name, field in model.model_fields.items())
            told = f"`{error['loc'][-1]}` is no word here; known are {known}"
        case "value_error":
            told = f"`{key}`: {error['ctx']['error']}"
        case _:
            told = f"`{key}`: {error['msg'].removeprefix('Input ')}"
    return Finding(text.line((*place, *where)), path or key, told)


def _names(text: Text, place: Place, loc: tuple[Any, ...]) -> set[Any]:
    """Parts of pydantic's location that are keys of the document, and not names of its own."""
    found, here = set(), place
    for part in loc:
        if (*here, part) in text.lines:
            found.add(part)
            here = (*here, part)
    return found
