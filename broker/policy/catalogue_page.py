"""The pages of the catalogue for people: what can be had, from whom, how good it is, for which purposes, and how to ask for it.

They say what the source and the purposes say, and figures that tell of nobody; who receives something is on the pages of
protocols. English texts of a schema are marked as English (WCAG 2.2, 3.1.2).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from broker.model.agreement import Ceiling
from broker.model.control_state import ControlState
from broker.model.product_life import Life, ProductState
from broker.model.quality import Quality
from broker.model.registered import Product
from broker.policy.catalogue_words import ABOUT, FORMS, duration, minute, number
from broker.policy.limits import Limits, limits_of
from broker.policy.page_frame import PageTemplate
from broker.policy.protocol_phrases import CLASSES
from broker.policy.words import day, label
from broker.schema.avro import Field, Schema, load_schema
from broker.schema.type_page import compact

ProductName = tuple[str, str]
"""Source and product."""

_STATES = {
    ProductState.PLANNED: "Aangekondigd: er wordt nog niets meegedeeld",
    ProductState.LIVE: "In gebruik",
    ProductState.DEPRECATED: "Wordt stopgezet",
    ProductState.ENDED: "Stopgezet",
}

_LIST = """\
{% block room %}catalogus{% endblock %}
{% block title %}Overzicht{% endblock %}
{% block main %}
<h1>Catalogus</h1>
<p>Welke gegevens bronnen aanbieden aan overheden, hoe vers en volledig die zijn, en voor welke doeleinden iemand ze hoogstens kan krijgen. Wie iets krijgt, en wat, bepaalt een <a href="/protocollen">protocol</a>.</p>
{% if rows %}
<div class="wide" role="region" aria-labelledby="lijst" tabindex="0">
<table>
<caption id="lijst">Dataproducten, volgens bron</caption>
<thead><tr><th scope="col">Dataproduct</th><th scope="col">Bron</th><th scope="col">Betrokkenen</th><th scope="col">Laatste record</th><th scope="col">Doeleinden</th></tr></thead>
<tbody>{% for each in rows %}
<tr><th scope="row"><a href="/catalogus/{{ each.source }}/{{ each.id }}">{{ each.title }}</a></th><td>{{ each.owner }}</td><td>{{ each.subjects }}</td><td>{{ each.last }}</td><td>{{ each.purposes }}</td></tr>{% endfor %}
</tbody>
</table>
</div>
{% else %}
<p>Er zijn geen dataproducten{% if after %} meer{% endif %}.</p>
{% endif %}
{% if following %}<p><a href="/catalogus?na={{ following }}">Volgende dataproducten</a></p>{% endif %}
<h2>Voor programma&rsquo;s</h2>
<p>Met een toegangsbewijs van uw organisatie:</p>
<ul>
<li><a href="/v1/catalogue">de catalogus als JSON</a>, of als DCAT-AP-VL met <code>Accept: text/turtle</code> of <code>application/ld+json</code></li>
<li><a href="/v1/catalogue/asyncapi">de stromen die u kunt lezen (AsyncAPI)</a></li>
</ul>
{% endblock %}
"""
_PRODUCT = """\
{% block room %}catalogus{% endblock %}
{% block title %}{{ title }}{% endblock %}
{% block main %}
<h1>{{ title }}</h1>
<p{% if not dutch %} lang="en"{% endif %}>{{ about }}</p>
<dl>
<dt>Bron</dt><dd>{{ owner }}</dd>
<dt>Recordtype</dt><dd><code>{{ id }}</code>, klasse <code>{{ class_ }}</code></dd>
<dt>Toestand</dt><dd>{{ state }}{% if sunset %}: vanaf {{ sunset }} begint hierop geen nieuw protocol meer{% endif %}{% if successor %}; opvolger is <a href="/catalogus/{{ source }}/{{ successor }}">{{ successor }}</a>{% endif %}</dd>
{% if issued %}<dt>Beschreven sinds</dt><dd>{{ issued }}{% if modified != issued %}, laatst gewijzigd op {{ modified }}{% endif %}</dd>{% endif %}
<dt>Toegang</dt><dd>Alleen met een protocol.</dd>
</dl>
<h2 id="kwaliteit">Kwaliteit</h2>
{% if figures %}
<table>
<caption>Cijfers van {{ measured }}{% if not whole %}; nog niet alles is geteld{% endif %}</caption>
<thead><tr><th scope="col">Wat</th><th scope="col">Cijfer</th></tr></thead>
<tbody>{% for name, figure in figures %}
<tr><th scope="row">{{ name }}</th><td>{{ figure }}</td></tr>{% endfor %}
</tbody>
</table>
<p>Aantallen zijn per vijf geteld en afgerond; over minder dan vijf betrokkenen of records wordt niets gezegd.</p>
{% else %}
<p>Er zijn nog geen cijfers.</p>
{% endif %}
<h2 id="gegevens">Gegevens</h2>
<div class="wide" role="region" aria-labelledby="velden" tabindex="0">
<table>
<caption id="velden">Elk gegeven van een record: wat het betekent, welke aard het heeft, en bij hoeveel betrokkenen het ingevuld is</caption>
<thead><tr><th scope="col">Gegeven</th><th scope="col">Betekenis</th><th scope="col">Aard</th><th scope="col">Aantal</th><th scope="col">Ingevuld</th></tr></thead>
<tbody>{% for each in fields %}
<tr><th scope="row">{% if each.label != each.path %}{{ each.label }}<br>{% endif %}<code>{{ each.path }}</code></th><td><span lang="en">{{ each.doc }}</span> <code>{{ each.iri }}</code></td><td>{{ each.nature }}</td><td>{{ each.many }}</td><td>{{ each.complete }}</td></tr>{% endfor %}
</tbody>
</table>
</div>
<h2 id="doeleinden">Doeleinden</h2>
{% if purposes %}
<p>Voor elk doeleinde het meeste dat een protocol kan toekennen. Wat hier niet staat, krijgt niemand.</p>
{% for each in purposes %}
<h3 id="doel-{{ each.code }}">{{ each.title }}</h3>
<p>{{ each.description }} <code>{{ each.code }}</code></p>
<div class="wide" role="region" aria-labelledby="tabel-{{ each.code }}" tabindex="0">
<table>
<caption id="tabel-{{ each.code }}">Hoogstens, voor {{ each.title }}</caption>
<thead><tr><th scope="col">Gegeven</th><th scope="col">Vorm</th></tr></thead>
<tbody>{% for field in each.fields %}
<tr><th scope="row">{{ field.label }}</th><td>{{ field.forms }}</td></tr>{% endfor %}
</tbody>
</table>
</div>
{% if each.onward %}<p>De afnemer kan toestemming krijgen om de gegevens verder mee te delen.</p>{% endif %}
{% endfor %}
{% else %}
<p>De bron laat nog voor geen enkel doeleinde iets toe.</p>
{% endif %}
<h2 id="aanvragen">Zo vraagt u het aan</h2>
<ol>
<li>Schrijf wat u nodig hebt, waarom en op welke rechtsgrond, en laat het nazien: <code>datanuts agreement check BESTAND</code></li>
<li>Vraag het aan: <code>datanuts agreement apply BESTAND</code>. De bron kijkt het na, de functionarissen voor gegevensbescherming geven advies.</li>
<li>Volg de stand: <code>datanuts agreement show KENMERK</code></li>
<li>Beide partijen ondertekenen; de bron maakt het protocol bekend. Het staat dan bij de <a href="/protocollen">protocollen</a>.</li>
<li>Vraag een toegangsbewijs: <code>datanuts credential issue</code></li>
<li>Lees wat u toekomt: <code>datanuts consume KENMERK</code></li>
</ol>
<h2 id="vormen">Andere vormen</h2>
<p>Met een toegangsbewijs van uw organisatie:</p>
<ul>
<li><a href="/v1/products/{{ source }}/{{ id }}">het schema (Avro)</a></li>
<li><a href="/v1/catalogue/{{ source }}/{{ id }}/example">een verzonnen record (JSON, of JSON-LD)</a></li>
<li><a href="/v1/catalogue/{{ source }}/{{ id }}/context">de betekenis van elk gegeven (JSON-LD-context)</a></li>
<li><a href="/v1/catalogue/{{ source }}/{{ id }}/shape">de vorm van een volledig record (SHACL)</a></li>
<li><a href="/v1/catalogue">de hele catalogus (JSON, of DCAT-AP-VL)</a></li>
<li><a href="/v1/catalogue/asyncapi">de stromen die u kunt lezen (AsyncAPI)</a></li>
</ul>
{% endblock %}
"""
_NOTICE = """\
{% block room %}catalogus{% endblock %}
{% block title %}{{ notice }}{% endblock %}
{% block main %}<h1>{{ notice }}</h1><p><a href="/catalogus">Naar de catalogus</a></p>{% endblock %}
"""
_NONE = "niet gekend"


def list_page(
    products: Sequence[Product],
    state: ControlState,
    figures: Mapping[ProductName, Quality],
    *,
    after: str,
    following: str | None,
) -> str:
    """A page of the list; `following` is where the next one starts."""
    limits = limits_of(state)
    rows = []
    for product in products:
        quality = figures.get((product.source, product.id))
        rows.append(
            {
                "source": product.source,
                "id": product.id,
                "title": _title(product),
                "owner": _owner(product, state),
                "subjects": _count(quality),
                "last": minute(quality.last_record) if quality and quality.last_record else _NONE,
                "purposes": sum(1 for _ in _ceilings(product, limits)),
            }
        )
    return _OVERVIEW.render(rows=rows, after=after, following=following)


def product_page(product: Product, state: ControlState, quality: Quality | None) -> str:
    """The page of one product."""
    schema, limits = load_schema(state.schemas[product.schema_id].text), limits_of(state)
    life = state.lives.of(product.source, product.id)
    about = ABOUT.get(product.id.partition(".")[0])
    return _PAGE.render(
        title=f"{_title(product)}, van {_owner(product, state)}",
        dutch=about is not None,
        about=about or schema.root.attributes["doc"],
        source=product.source,
        id=product.id,
        owner=_owner(product, state),
        class_=compact(str(schema.root.attributes["iri"])),
        issued=product.issued and day(product.issued),
        modified=product.modified and day(product.modified),
        **_standing(life),
        figures=[] if quality is None else list(_figures(quality)),
        measured=quality and minute(quality.at),
        whole=quality and quality.whole,
        fields=[_field(leaf, quality) for leaf in schema.fields.values()],
        purposes=[_purpose(ceiling, limits, schema) for ceiling in _ceilings(product, limits)],
    )


def notice_page(notice: str) -> str:
    """A page that only says something."""
    return _MESSAGE.render(notice=notice)


def _ceilings(product: Product, limits: Limits) -> Iterator[Ceiling]:
    for code in sorted(limits.purposes.by_code):
        ceiling = limits.offered(product.source, product.id, code)
        if ceiling is not None:
            yield ceiling


def _figures(quality: Quality) -> Iterator[tuple[str, str]]:
    def told(figure: int | None, unit: str = "%") -> str:
        if figure is None:
            return _NONE
        return duration(figure) if unit == "s" else f"{figure} {unit}"

    yield "Betrokkenen met een record", _count(quality)
    yield "Laatste record gepubliceerd", minute(quality.last_record) if quality.last_record else _NONE
    yield "Bron laatst tot het einde gelezen", minute(quality.last_pass) if quality.last_pass else _NONE
    yield "De helft is gepubliceerd binnen (laatste 24 uur)", told(quality.median_s, "s")
    yield "95 op 100 zijn gepubliceerd binnen (laatste 24 uur)", told(quality.p95_s, "s")
    yield "Opzijgezet als onbruikbaar, laatste 24 uur", told(quality.set_aside_day)
    yield "Opzijgezet als onbruikbaar, in het geheel", told(quality.set_aside)


def _field(leaf: Field, quality: Quality | None) -> dict[str, Any]:
    reveals = "; kan een bijzondere categorie onthullen" if leaf.reveals else ""
    return {
        "path": leaf.path,
        "label": label(leaf.path),
        "doc": leaf.doc,
        "iri": compact(leaf.iri),
        "nature": CLASSES[leaf.field_class] + reveals,
        "many": "meer" if leaf.repeated else "hoogstens één" if leaf.optional else "één",
        "complete": _complete(leaf, quality),
    }


def _complete(leaf: Field, quality: Quality | None) -> str:
    """Share of subjects that have a field, or the list in which it lies."""
    if not leaf.optional and not leaf.repeated:
        return "altijd"
    path = leaf.path
    while path:
        if quality is not None and path in quality.completeness:
            return f"{quality.completeness[path]} %"
        path = path.rpartition(".")[0]
    return _NONE


def _purpose(ceiling: Ceiling, limits: Limits, schema: Schema) -> dict[str, Any]:
    purpose = limits.purposes.by_code[ceiling.purpose]
    named = (path for path in schema.fields if path in ceiling.fields)
    return {
        "code": purpose.code,
        "title": purpose.title,
        "description": purpose.description,
        "onward": ceiling.onward_sharing,
        "fields": [
            {
                "label": label(path),
                "forms": ", ".join(words for form, words in FORMS.items() if form in ceiling.fields[path].transforms),
            }
            for path in named
        ],
    }


def _standing(life: Life) -> dict[str, str | None]:
    told = life.deprecation
    return {
        "state": _STATES[life.state],
        "sunset": None if told is None else day(told.sunset),
        "successor": None if told is None else told.successor,
    }


def _count(quality: Quality | None) -> str:
    return _NONE if quality is None or quality.subjects is None else f"ongeveer {number(quality.subjects)}"


def _title(product: Product) -> str:
    name, _, version = product.id.partition(".v")
    return f"{name.capitalize()}, versie {version}"


def _owner(product: Product, state: ControlState) -> str:
    known = state.organisations.get(product.source)
    return known.name if known is not None else product.source


_OVERVIEW, _PAGE, _MESSAGE = PageTemplate(_LIST), PageTemplate(_PRODUCT), PageTemplate(_NOTICE)
