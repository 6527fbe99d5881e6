"""The frame of every page for people: static Dutch HTML with a style of its own, without scripts or anything from elsewhere."""

from base64 import b64encode
from hashlib import sha256

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

STYLE = """
:root { --ink: #1d2430; --muted: #4f5b6b; --line: #c3ccd8; --accent: #0a4f8f; }
body { margin: 0; font: 1rem/1.6 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: #fff; }
header, main, footer { max-width: 48rem; margin: 0 auto; padding: 1rem 1.25rem; }
header { border-bottom: 1px solid var(--line); }
header a { display: inline-block; padding: .3rem 0; margin-right: 1.25rem; }
h1 { font-size: 1.8rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; line-height: 1.3; margin-top: 2.2rem; }
h3 { font-size: 1.1rem; margin-top: 1.8rem; }
a { color: var(--accent); }
a:focus-visible, .wide:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
code { font-size: .88em; overflow-wrap: anywhere; }
dt { color: var(--muted); }
dd { margin: 0 0 .6rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--muted); padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .8rem .45rem 0; border-bottom: 1px solid var(--line); }
.wide { overflow-x: auto; }
.wide table { min-width: 38rem; }
.skip { position: absolute; left: -100rem; }
.skip:focus { position: static; }
@media print { header, footer, .skip { display: none; } .wide { overflow: visible; } .wide table { min-width: 0; } }
"""
STYLE_HASH = f"sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}"
"""What a Content-Security-Policy must allow for the page's own style, and nothing else."""

_LAYOUT = """\
<!doctype html>
<html lang="nl-BE">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{% block title %}{% endblock %} &ndash; {% block room %}datanutsbedrijf{% endblock %}</title>
<style>{{ style }}</style>
</head>
<body>
<a class="skip" href="#inhoud">Naar de inhoud</a>
<header><nav aria-label="Datanutsbedrijf"><a href="/protocollen">Protocollen</a><a href="/catalogus">Catalogus</a></nav></header>
<main id="inhoud" tabindex="-1">
{% block main %}{% endblock %}
</main>
<footer><p>Deze pagina bevat geen gegevens van personen en laadt niets van elders.</p></footer>
</body>
</html>
"""
_ENVIRONMENT = Environment(autoescape=True, undefined=StrictUndefined)
_FRAME: Template = _ENVIRONMENT.from_string(_LAYOUT)


class PageTemplate:
    """A page from the source of its blocks `title`, `room` and `main`; what is filled in is escaped."""

    def __init__(self, blocks: str) -> None:
        self._template: Template = _ENVIRONMENT.from_string("{% extends frame %}\n" + blocks)

    def render(self, **given: object) -> str:
        """The whole page; raises `jinja2.UndefinedError` for what was not given."""
        return self._template.render(frame=_FRAME, style=Markup(STYLE), **given)  # noqa: S704 - our own constant
