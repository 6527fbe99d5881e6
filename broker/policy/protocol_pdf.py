"""The protocol's text as a PDF to sign: the same input gives the same bytes, and no character is lost on the way.

Every page carries the SHA-256 of the text that was set, so that paper and log can be compared by eye. Fonts are embedded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from hashlib import md5
from html import escape
from io import BytesIO
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.pdfdoc import PDFArray, PDFDictionary
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate

from broker.errors import Invalid
from broker.policy.protocol_text import text_hash

_MARGIN = 22 * mm
_INDENT = 6 * mm
_FACES = {"Vera": "Vera.ttf", "VeraBd": "VeraBd.ttf", "VeraIt": "VeraIt.ttf", "VeraBI": "VeraBI.ttf"}
_HEADINGS = {"h1": (15.0, 6.0), "h2": (11.0, 10.0), "h3": (10.0, 8.0)}
"""Size and space before, in points."""
_INLINE = {
    "strong_open": "<b>",
    "strong_close": "</b>",
    "em_open": "<i>",
    "em_close": "</i>",
    "softbreak": " ",
    "hardbreak": "<br/>",
}


def pdf(text: str, *, title: str, at: datetime) -> bytes:
    """PDF of a protocol's Markdown; `at` is the only instant in it.

    Raises `Invalid` naming the line for Markdown that a protocol does not use, and for a character without a glyph.
    """
    fingerprint = text_hash(text)
    made = BytesIO()
    document = SimpleDocTemplate(
        made, pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=_MARGIN, title=title,
        author="Datanutsbedrijf", lang="nl-BE", invariant=1, displayDocTitle=True,
    )  # fmt: skip
    _printable(title, "title")
    flow = list(_flow(MarkdownIt("commonmark").parse(text)))
    document.build(flow, canvasmaker=partial(_Page, fingerprint=fingerprint, at=at))
    return made.getvalue()


@cache
def _face() -> TTFont:
    """The upright font, once all four (which reportlab ships) are registered to be embedded."""
    for name, file in _FACES.items():
        pdfmetrics.registerFont(TTFont(name, file))
    pdfmetrics.registerFontFamily("Vera", normal="Vera", bold="VeraBd", italic="VeraIt", boldItalic="VeraBI")
    return TTFont("Vera", _FACES["Vera"])


class _Page(Canvas):
    """A canvas that closes every page with its number and the text's fingerprint."""

    _doc: Any
    _startPage: Callable[[], None]  # noqa: N815 - reportlab's name

    def __init__(self, *given: Any, fingerprint: str, at: datetime, **options: Any) -> None:
        super().__init__(*given, **options)
        self.fingerprint = fingerprint
        self.pages: list[dict[str, Any]] = []
        # reportlab offers only "now" and one fixed instant, and its file id would depend on the environment.
        self._doc._timeStamp = _Stamp(at)  # noqa: SLF001
        self._doc.signature = md5(fingerprint.encode(), usedforsecurity=False)
        # An empty form, so that adding a signature changes it and nothing else (`control.signed_documents`).
        self._doc.Catalog.AcroForm = PDFDictionary({"Fields": PDFArray([])})

    def showPage(self) -> None:  # noqa: N802 - reportlab's name
        """Hold the page back until the number of pages is known."""
        self.pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Write all pages with their footers."""
        for number, page in enumerate(self.pages, start=1):
            self.__dict__.update(page)
            self.setFont("Vera", 6.5)
            self.drawString(_MARGIN, 12 * mm, f"SHA-256 van de tekst: {self.fingerprint}")
            self.drawRightString(A4[0] - _MARGIN, 12 * mm, f"bladzijde {number} van {len(self.pages)}")
            super().showPage()
        super().save()


class _Stamp:
    """The instant a document states, in the form in which reportlab reads one."""

    def __init__(self, at: datetime) -> None:
        moment = at.astimezone(UTC)
        self.t = moment.timestamp()
        self.lt = moment.timetuple()
        self.YMDhms = tuple(self.lt)[:6]
        self.dhh = self.dmm = 0
        self.tzname = "UTC"


@dataclass(slots=True)
class _Place:
    """Where in the nesting the next paragraph stands: a list's marker is used up by the first paragraph of its item."""

    lists: list[int | None]
    heading: str | None = None
    marker: str | None = None


def _flow(tokens: Sequence[Token]) -> Iterator[Flowable]:
    """Paragraphs of the Markdown, in order."""
    place = _Place([])
    line = 1
    for token in tokens:
        line = token.map[0] + 1 if token.map else line
        match token.type:
            case "heading_open":
                place.heading = token.tag
            case "heading_close":
                place.heading = None
            case "bullet_list_open":
                place.lists.append(None)
            case "ordered_list_open":
                place.lists.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                place.lists.pop()
            case "list_item_open":
                number = place.lists[-1]
                place.marker = "\N{BULLET}" if number is None else f"{number}."
                place.lists[-1] = None if number is None else number + 1
            case "inline":
                yield Paragraph(_inline(token.children or (), f"line {line}"), _style(place), bulletText=place.marker)
                place.marker = None
            case "paragraph_open" | "paragraph_close" | "list_item_close":
                pass
            case other:
                raise Invalid(f"line {line}: a protocol uses no {other.removesuffix('_open')}")


def _style(place: _Place) -> ParagraphStyle:
    if place.heading is not None:
        if place.heading not in _HEADINGS:
            raise Invalid(f"a protocol has no heading of level {place.heading[1:]}")
        size, before = _HEADINGS[place.heading]
        return ParagraphStyle("heading", fontName="VeraBd", fontSize=size, leading=size * 1.3, spaceBefore=before,
                              spaceAfter=4, keepWithNext=True)  # fmt: skip
    depth = len(place.lists)
    return ParagraphStyle("text", fontName="Vera", fontSize=9, leading=12.5, spaceAfter=2 if depth else 5,
                          leftIndent=depth * _INDENT, bulletIndent=max(depth - 1, 0) * _INDENT + 1, bulletFontName="Vera",
                          bulletFontSize=9, splitLongWords=True)  # fmt: skip


def _inline(children: Sequence[Token], place: str) -> str:
    """A line's content in the small mark-up that reportlab sets."""
    written = []
    for child in children:
        if child.type in {"text", "text_special", "code_inline"}:
            _printable(child.content, place)
            written.append(escape(child.content, quote=False))
        elif child.type in _INLINE:
            written.append(_INLINE[child.type])
        else:
            raise Invalid(f"{place}: a protocol uses no {child.type.removesuffix('_open')}")
    return "".join(written)


def _printable(text: str, place: str) -> None:
    """Raise `Invalid` where the fonts have no sign for a character: a box on paper is not what was agreed."""
    known = _face().face.charToGlyph
    missing = sorted({char for char in text if ord(char) not in known})
    if missing:
        signs = ", ".join(f"U+{ord(char):04X}" for char in missing[:5])
        raise Invalid(f"{place}: no sign on paper for {signs}: write it with Latin letters")
