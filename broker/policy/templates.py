"""`policies/templates/<id>.yaml`: one agreement for many local authorities, each of which accedes to it on its own.

A template is an agreement document without `id`, `version` and `agency`, in which `{nis}`, `{naam}`, `{ovo}`, `{kbo}` and
`{organisatie}` stand for what `policies/authorities.csv` says of the authority. They are replaced, nothing is computed; they
may stand in texts and in values that select, never in a key, a path, a date or the purpose. Every template rests on a
general authorisation: its accession is what each authority signs (art. 8 of the e-government decree; design §6).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import Field

from broker.errors import Invalid
from broker.model import topics
from broker.model.agreement import Agreement, Instrument
from broker.policy import documents
from broker.policy.authorities import Authorities, Authority, Kind
from broker.policy.forms import Document, Form, Slug, read
from broker.policy.yamltext import load

_PARAMETERS = ("nis", "naam", "ovo", "kbo", "organisatie")
_BRACES = re.compile(r"\{([^{}]*)\}|[{}]")
_OWN = ("id", "version", "agency")
_PLACES = re.compile(
    r"title"
    r"|bases\.\d+\.text"
    r"|fields\.\d+\.(?:why|municipalities\.\d+)"
    r"|population\.where(?:\.(?:all|any)\.\d+)*\.(?:equals|in\.\d+)"
    r"|conditions\..+"
)


class _TemplateForm(Form):
    id: Slug
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1, max_length=len(Kind))]
    agreement: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template; `agreement` is the document with its placeholders, `parameters` are those that it uses."""

    id: str
    kinds: tuple[Kind, ...]
    parameters: frozenset[str]
    agreement: Mapping[str, Any]

    def agreement_id(self, authority: Authority) -> str:
        """Id of the authority's own agreement."""
        return topics.slug(f"{self.id}-{authority.id}", "agreement")


def template(source: str | Document) -> Template:
    """A template, from YAML text or its JSON object; raises `Invalid` naming the place (`agreement.fields.0.path`)."""
    form = read(_TemplateForm, load(source) if isinstance(source, str) else source)
    for name in _OWN:
        if name in form.agreement:
            raise Invalid(f"agreement.{name}: every authority has its own: leave it out")
    used = frozenset(_placeholders(form.agreement, ""))
    made = Template(form.id, form.kinds, used, form.agreement)
    for kind in form.kinds:
        try:
            specimen = Authority(f"{kind}-x", kind, "X", nis="00000", kbo="0000000097", ovo="OVO000000")
            agreement = documents.agreement(instance(made, specimen))
        except Invalid as error:
            raise Invalid(f"agreement: {error}") from None
        accession_of(agreement)
    return made


def instance(template: Template, authority: Authority, version: int = 1) -> dict[str, Any]:
    """The authority's own agreement document; raises `Invalid` where the table lacks a code that the template needs."""
    values = {
        "nis": authority.nis,
        "naam": authority.name,
        "ovo": authority.ovo,
        "kbo": authority.kbo,
        "organisatie": authority.id,
    }
    if lacking := sorted(name for name in template.parameters if values[name] is None):
        raise Invalid(f"{authority.id} has no {' and no '.join(lacking)} in the table of authorities: add it there")
    own = {"id": template.agreement_id(authority), "version": version, "agency": authority.id}
    return own | {name: _filled(part, values) for name, part in template.agreement.items()}


def instances(template: Template, authorities: Authorities, on: date) -> tuple[dict[str, Any], ...]:
    """First versions for every authority of the template's kinds that exists on a day, in the table's order."""
    return tuple(instance(template, row) for row in authorities.on(on) if row.kind in template.kinds)


def accession_of(agreement: Agreement) -> str:
    """Reference of the general authorisation that an instance accedes to; raises `Invalid` if it names none."""
    for basis in agreement.bases:
        if basis.instrument is Instrument.ACCESSION:
            return basis.reference
    raise Invalid("agreement.bases: name the general authorisation that is acceded to: `instrument: accession`")


def _placeholders(part: object, place: str) -> Iterator[str]:
    """Names of the placeholders below `part`; raises `Invalid` at one that is unknown or does not belong there."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if _BRACES.search(str(key)):
                raise Invalid(f"agreement.{place or 'document'}: a key holds no placeholder")
            yield from _placeholders(value, f"{place}.{key}" if place else str(key))
    elif isinstance(part, list | tuple):
        for number, value in enumerate(part):
            yield from _placeholders(value, f"{place}.{number}")
    elif isinstance(part, str):
        for found in _BRACES.finditer(part):
            if found[1] not in _PARAMETERS:
                known = ", ".join(f"{{{name}}}" for name in _PARAMETERS)
                raise Invalid(f"agreement.{place}: braces stand for one of {known} only")
            if not _PLACES.fullmatch(place):
                raise Invalid(f"agreement.{place}: the same for every authority: no placeholder here")
            yield found[1]


def _filled(part: Any, values: Mapping[str, str | None]) -> Any:
    if isinstance(part, Mapping):
        return {key: _filled(value, values) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_filled(value, values) for value in part]
    if isinstance(part, str):
        return _BRACES.sub(lambda found: values[found[1]] or "", part)
    return part
