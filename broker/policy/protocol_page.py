"""The public page of a protocol, and the list of all: static Dutch HTML without personal data, scripts or anything from elsewhere.

Art. 8 of the e-government decree of 18 July 2008: a third party must be able to see finality, legal ground and conditions.
Who signed is shown as an organisation and a function. Only versions that were published are shown, whatever became of them.
"""

from collections.abc import Sequence

from markdown_it import MarkdownIt
from markupsafe import Markup

from broker.errors import Invalid
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry, Method, Step, Transition, Verdict
from broker.policy.limits import limits_of
from broker.policy.page_frame import PageTemplate
from broker.policy.protocol_text import agreed_text, text_hash
from broker.policy.words import day

_STATES = {
    State.PUBLISHED: "Bekendgemaakt; nog niet in werking",
    State.ACTIVE: "In werking",
    State.SUSPENDED: "Geschorst: er wordt niets meegedeeld",
    State.ENDED: "Beëindigd",
    State.REVOKED: "Ingetrokken",
}
_STEPS = {
    Step.PUBLISHED: "bekendgemaakt",
    Step.ACTIVATED: "in werking getreden",
    Step.SUSPENDED: "geschorst",
    Step.RESUMED: "hervat",
    Step.AMENDED: "vervangen door de volgende versie",
    Step.REVOKED: "ingetrokken",
    Step.ENDED: "beëindigd",
}
_VERDICTS = {
    Verdict.FAVOURABLE: "gunstig",
    Verdict.CONDITIONAL: "gunstig onder voorwaarden",
    Verdict.UNFAVOURABLE: "ongunstig",
}
_METHODS = {
    Method.QES_DOCUMENT: "gekwalificeerde elektronische handtekening",
    Method.DEV: "oefenhandtekening: fictieve gegevens",
}

_PROTOCOL = """\
{% block room %}protocollen{% endblock %}
{% block title %}{{ title }}{% endblock %}
{% block main %}
<h1>{{ title }}</h1>
<h2>Stand</h2>
<dl>
<dt>Toestand</dt><dd>{{ state }}, sinds {{ since }}</dd>
<dt>Versie</dt><dd>{{ version }}{% if newest != version %} (<a href="/protocollen/{{ id }}?versie={{ newest }}">er is een versie {{ newest }}</a>){% endif %}</dd>
<dt>Bron</dt><dd>{{ source }}</dd>
<dt>Afnemer</dt><dd>{{ agency }}</dd>
<dt>Doeleinde</dt><dd>{{ purpose }}</dd>
{% if agreed %}<dt>Vingerafdruk (SHA-256) van de overeengekomen tekst</dt><dd><code>{{ agreed }}</code></dd>{% endif %}
</dl>
{% for step in steps %}{% if loop.first %}<ul>{% endif %}
<li>{{ step.day }}: {{ step.what }} ({{ step.by }})</li>{% if loop.last %}
</ul>{% endif %}{% endfor %}
{% if text is none %}
<h2>Tekst</h2>
<p>De tekst van deze versie kan niet meer worden opgemaakt, omdat haar doeleinde of dataproduct niet meer bestaat.</p>
{% else %}
{{ text }}
{% if agreed and agreed != now %}
<p>Sinds de ondertekening werd een naam, een doeleinde of de omschrijving van een gegeven anders verwoord: de tekst hierboven heeft nu vingerafdruk <code>{{ now }}</code>. Het protocol zelf is hetzelfde.</p>
{% endif %}
{% endif %}
<h2>Adviezen en handtekeningen</h2>
{% if signatures %}
<table>
<caption>Wie ondertekende, als organisatie en functie</caption>
<thead><tr><th scope="col">Organisatie</th><th scope="col">Functie</th><th scope="col">Datum</th><th scope="col">Wijze</th></tr></thead>
<tbody>{% for each in signatures %}
<tr><td>{{ each.organisation }}</td><td>{{ each.function }}</td><td>{{ each.day }}</td><td>{{ each.method }}</td></tr>{% endfor %}
</tbody>
</table>
{% else %}
<p>Deze versie draagt geen handtekeningen.</p>
{% endif %}
{% for each in advice %}{% if loop.first %}<ul>{% endif %}
<li>Advies van de functionaris voor gegevensbescherming van {{ each.organisation }}: {{ each.verdict }}{% if each.departed %}; de partij week er gemotiveerd van af{% endif %}.</li>{% if loop.last %}
</ul>{% endif %}{% endfor %}
<h2>Versies</h2>
<table>
<caption>Alle bekendgemaakte versies van dit protocol</caption>
<thead><tr><th scope="col">Versie</th><th scope="col">Toestand</th><th scope="col">Sinds</th></tr></thead>
<tbody>{% for each in versions %}
<tr><td><a href="/protocollen/{{ id }}?versie={{ each.version }}"{% if each.version == version %} aria-current="page"{% endif %}>versie {{ each.version }}</a></td><td>{{ each.state }}</td><td>{{ each.since }}</td></tr>{% endfor %}
</tbody>
</table>
<h2>Andere vormen</h2>
<ul>
<li><a href="/protocollen/{{ id }}/tekst?versie={{ version }}">de tekst waarover de vingerafdruk gaat (Markdown)</a></li>
<li><a href="/v1/agreements/{{ id }}/odrl?version={{ version }}">leesbaar voor programma&rsquo;s (ODRL en DPV, JSON-LD)</a></li>
</ul>
{% endblock %}
"""
_LIST = """\
{% block room %}protocollen{% endblock %}
{% block title %}Overzicht{% endblock %}
{% block main %}
<h1>Protocollen</h1>
<p>Welke overheid krijgt welke gegevens, van wie en waarom: elk protocol dat hier loopt of gelopen heeft.</p>
{% if rows %}
<table>
<caption>Bekendgemaakte protocollen, volgens kenmerk</caption>
<thead><tr><th scope="col">Protocol</th><th scope="col">Bron</th><th scope="col">Afnemer</th><th scope="col">Doeleinde</th><th scope="col">Toestand</th></tr></thead>
<tbody>{% for each in rows %}
<tr><td><a href="/protocollen/{{ each.id }}">{{ each.title }}</a></td><td>{{ each.source }}</td><td>{{ each.agency }}</td><td>{{ each.purpose }}</td><td>{{ each.state }}</td></tr>{% endfor %}
</tbody>
</table>
{% else %}
<p>Er zijn geen bekendgemaakte protocollen{% if after %} meer{% endif %}.</p>
{% endif %}
{% if following %}<p><a href="/protocollen?na={{ following }}">Volgende protocollen</a></p>{% endif %}
{% endblock %}
"""
_NOTICE = """\
{% block room %}protocollen{% endblock %}
{% block title %}{{ notice }}{% endblock %}
{% block main %}<h1>{{ notice }}</h1>{% endblock %}
"""


def published(agreement: str, state: ControlState) -> tuple[AgreementEntry, ...]:
    """The versions that were ever published, oldest first; empty for an unknown agreement."""
    return tuple(entry for entry in state.versions_of(agreement).values() if _was_published(entry))


def shown(agreement: str, state: ControlState) -> AgreementEntry | None:
    """The version that counts now: the one in force, else the last one published; None where none ever was."""
    versions = published(agreement, state)
    held = state.agreements.get(agreement)
    return held if held in versions else versions[-1] if versions else None


def protocol_page(entry: AgreementEntry, state: ControlState) -> str:
    """The page of one published version."""
    text = _text(entry, state)
    document = entry.document
    versions = published(entry.id, state)
    return _PAGE.render(
        id=entry.id,
        title=document["title"],
        version=entry.version,
        newest=versions[-1].version,
        state=_STATES[entry.state],
        since=day(entry.since),
        source=_name(entry.source, state),
        agency=_name(entry.agency, state),
        purpose=_purpose(document["purpose"], state),
        agreed=entry.text_sha256,
        now=text and text_hash(text),
        text=text and Markup(_html(text)),  # noqa: S704 - markdown-it escapes all that is not mark-up of its own
        steps=[
            {"day": day(taken.at), "what": _told(entry, taken), "by": _name(taken.by, state)}
            for taken in entry.history
            if taken.type in _STEPS
        ],
        signatures=[
            {
                "organisation": _name(each.organisation, state),
                "function": each.function,
                "day": day(each.signed_at),
                "method": _METHODS[each.method],
            }
            for each in entry.signatures
        ],
        advice=[
            {
                "organisation": _name(each.organisation, state),
                "verdict": _VERDICTS[each.verdict],
                "departed": bool(each.departure),
            }
            for each in entry.advice
        ],
        versions=[
            {"version": each.version, "state": _STATES[each.state], "since": day(each.since)}
            for each in reversed(versions)
        ],
    )


def list_page(entries: Sequence[AgreementEntry], state: ControlState, *, after: str, following: str | None) -> str:
    """A page of the list; `following` is where the next one starts."""
    rows = [
        {
            "id": entry.id,
            "title": entry.document["title"],
            "source": _name(entry.source, state),
            "agency": _name(entry.agency, state),
            "purpose": _purpose(entry.document["purpose"], state),
            "state": _STATES[entry.state],
        }
        for entry in entries
    ]
    return _OVERVIEW.render(rows=rows, after=after, following=following)


def notice_page(notice: str) -> str:
    """A page that only says something."""
    return _MESSAGE.render(notice=notice)


def _was_published(entry: AgreementEntry) -> bool:
    """Activation without publication is how it went before there were texts."""
    return entry.activated_at is not None or any(taken.type is Step.PUBLISHED for taken in entry.history)


def _told(entry: AgreementEntry, taken: Transition) -> str:
    """A step in the words of this version: an amendment is one version's start and the other's end."""
    if taken.type is Step.AMENDED and taken.epoch == entry.amended_epoch:
        return "in werking getreden, in de plaats van de vorige versie"
    return _STEPS[taken.type]


def _text(entry: AgreementEntry, state: ControlState) -> str | None:
    try:
        return agreed_text(entry, state)
    except Invalid:
        return None


def _html(text: str) -> str:
    """The protocol's Markdown one heading level down, without links or images: nobody can point elsewhere in our name."""
    markdown = MarkdownIt("commonmark", {"html": False}).disable(
        ["link", "image", "autolink", "html_inline", "html_block"]
    )
    tokens = markdown.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{int(token.tag[1:]) + 1}"
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _name(slug: str, state: ControlState) -> str:
    known = state.organisations.get(slug)
    return known.name if known is not None else slug


def _purpose(code: str, state: ControlState) -> str:
    known = limits_of(state).purposes.by_code.get(code)
    return known.title if known is not None else code


_PAGE, _OVERVIEW, _MESSAGE = PageTemplate(_PROTOCOL), PageTemplate(_LIST), PageTemplate(_NOTICE)
