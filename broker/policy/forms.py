"""What every policy document's form is made of: nothing unknown, nothing quoted, nothing deep (pydantic at the edge).

A reader takes YAML text or the JSON object that the control log holds, and raises `Invalid` that names the place
(`population.where.all.0`) and never a value.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from broker.errors import Invalid
from broker.model import topics
from broker.policy.calendar import within
from broker.policy.findings import Finding

Document = Mapping[str, Any]
_DEEPEST = 16
_MOST_VALUES = 20_000
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Zl", "Zp"})
"""Unicode categories that nobody sees on paper: what is signed must be what is read."""
_T = TypeVar("_T", bound=BaseModel)


def _checked(check: Callable[[str], str]) -> AfterValidator:
    """The model's own check as a pydantic validator."""

    def validate(text: str) -> str:
        try:
            check(text)
        except Invalid as error:
            raise ValueError(str(error)) from None
        return text

    return AfterValidator(validate)


def _text_only(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be an instant such as 2026-01-01T00:00:00Z")  # noqa: TRY004 - pydantic collects ValueError
    return value


def _visible(text: str) -> str:
    shown = text.replace("\n", "").replace("\t", "")
    # A printable text is none of these; asking first makes reading a document twice as fast.
    if not shown.isprintable() and any(unicodedata.category(char) in _UNSEEN for char in shown):
        raise ValueError("holds a character that a reader does not see: a control, an invisible or a direction mark")
    if not text.strip():
        raise ValueError("holds white space only")
    return text


Text = Annotated[str, Field(strict=True, min_length=1, max_length=4000), AfterValidator(_visible)]
Value = Annotated[str, Field(strict=True, min_length=1, max_length=200), AfterValidator(_visible)]
Path = Annotated[str, Field(strict=True, max_length=200, pattern=r"^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*$")]
Name = Annotated[str, Field(strict=True, max_length=80, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
Url = Annotated[str, Field(strict=True, max_length=500, pattern=r"^https://[!-~]+$")]
Slug = Annotated[str, Field(strict=True), _checked(topics.slug)]
ProductId = Annotated[str, Field(strict=True), _checked(topics.product_id)]
Instant = Annotated[AwareDatetime, BeforeValidator(_text_only), AfterValidator(within)]

_CODES = {"missing": "MISSING", "extra_forbidden": "UNKNOWN_KEY"}
_WORDS = {
    "missing": "is required: add it",
    "extra_forbidden": "no such key here: remove it, or correct its spelling",
    "string_type": "must be text: write it between quotes",
    "string_too_short": "must not be empty: fill it in, or leave out the key",
    "string_too_long": "must have at most {max_length} characters: shorten it",
    "too_short": "must have at least {min_length} item(s)",
    "too_long": "must have at most {max_length} items: split the agreement",
    "bool_type": "must be `true` or `false`",
    "int_type": "must be a whole number without quotes",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "timezone_aware": "must name its time zone: write 2026-01-01T00:00:00Z",
    "datetime_from_date_parsing": "must be an instant such as 2026-01-01T00:00:00Z",
    "tuple_type": "must be a list",
    "model_type": "must be a section with keys of its own",
}
_PATTERNS = {
    "gdpr": "must be an article of the GDPR: 6.1.a to 6.1.f, 9.2.a to 9.2.j, or 10",
    "path": "must be the path of a field, such as verblijfplaats.postcode",
    "name": "must be letters and digits, starting with a letter",
    "url": "must be an https address",
    "source": "must be an https address",
    "agency": "must be an https address",
}
"""What the pattern of a key asks, in words."""


class Form(BaseModel):
    """Base of every document's form: nothing unknown, nothing quoted."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def read(form: type[_T], data: object) -> _T:
    """`data` as a form; a refusal names places and rules, never values."""
    measure(data)
    try:
        return form.model_validate(data)
    except ValidationError as error:
        raise Invalid("; ".join(f"{path}: {text}" for _, path, text in _findings(error)[:10])) from None


def faults(form: type[BaseModel], data: object) -> tuple[Finding, ...]:
    """Every place where `data` is not such a form, and what to do there; empty if `read` takes it."""
    try:
        measure(data)
        form.model_validate(data)
    except ValidationError as error:
        return _findings(error)
    except Invalid as error:
        return (Finding("TOO_MUCH", "document", f"{error}: leave out what the form does not ask, or split it"),)
    return ()


def _findings(error: ValidationError) -> tuple[Finding, ...]:
    """A list whose items are wrong is not also too short: pydantic counts only the right ones."""
    lines = error.errors(include_url=False, include_input=False)
    above = {line["loc"][:depth] for line in lines for depth in range(len(line["loc"]))}
    return tuple(_finding(line) for line in lines if line["type"] != "too_short" or line["loc"] not in above)


def _finding(line: ErrorDetails) -> Finding:
    """One fault in words that say what to write; pydantic's own words where these are not better."""
    place = [str(part) for part in line["loc"]]
    kind, context = line["type"], line.get("ctx", {})
    if kind == "string_pattern_mismatch" and place and place[-1] in _PATTERNS:
        text = _PATTERNS[place[-1]]
    elif kind in _WORDS:
        text = _WORDS[kind].format_map(context)
    else:
        text = line["msg"].removeprefix("Value error, ")
    return Finding(_CODES.get(kind, "WRONG_FORM"), ".".join(place) or "document", text)


def measure(data: object, *, deepest: int = _DEEPEST, most: int = _MOST_VALUES) -> None:
    """Refuse a JSON object that is deep or huge before anything recurses into it; raises `Invalid`."""
    level: list[object] = [data]
    count = 0
    for _ in range(deepest):
        below: list[object] = []
        for item in level:
            if isinstance(item, str | bytes):  # nearly all of them: asked first, because the others are dear to ask
                continue
            if isinstance(item, dict | Mapping):  # a dict is asked for by name, because the others are dear to ask
                below.extend(item.values())
            elif isinstance(item, list | Sequence):
                below.extend(item)
        count += len(below)
        if count > most:
            raise Invalid("the document holds too many values")
        if not below:
            return
        level = below
    raise Invalid("the document is nested too deeply")
