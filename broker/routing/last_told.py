"""What was told of subjects' papers where they are not what they were then: as bytes where only files are concerned."""

from collections.abc import Callable
from struct import Struct

from broker.control.dossier_book import DossierBook
from broker.control.dossier_records import Place
from broker.model.packed_map import PackedMap
from broker.policy.papers import NO_PAPERS, Papers, Told
from broker.routing.places import PLACE_BYTES, Places

_AT = Struct("<q")
_OTHER = b"o"
_THEN = b"t"
"""Behind the instant: papers are kept as an object; the files of then follow; nothing: papers are as they are now."""


class LastTold:
    """By place; `papers` are a subject's as they are now, and `files` holds those on file among them."""

    def __init__(self, files: DossierBook, papers: Callable[[bytes], Papers], places: Places) -> None:
        self._files, self._papers, self._places = files, papers, places
        self._rows = PackedMap(PLACE_BYTES)
        self._others: dict[bytes, Papers] = {}

    def get(self, place: Place) -> Told | None:
        """None where nothing was noted."""
        packed = self._places.packed(place)
        row = self._rows.get(packed)
        if row is None:
            return None
        (at,), kept = _AT.unpack_from(row), row[_AT.size :]
        if not kept:
            return Told(self._papers(place.subject), at)
        if kept == _OTHER:
            return Told(self._others[packed], at)
        files = self._files.opened(place.subject, kept[1:])
        return Told(Papers(files) if files else NO_PAPERS, at)

    def told(self, place: Place, at_ms: int) -> None:
        """The papers of now were told."""
        if "/" in place.agreement:  # a product: papers under any agreement on it count, which change by themselves
            self._keep(place, at_ms)
        else:
            self._rows[self._places.packed(place)] = _AT.pack(at_ms)

    def changes(self, place: Place, told_ms: int) -> None:
        """The papers of a place are about to become others; they were told at `told_ms` if nothing is noted."""
        row = self._rows.get(self._places.packed(place))
        if row is None:
            self._keep(place, told_ms)
        elif len(row) == _AT.size:
            self._keep(place, int(_AT.unpack(row)[0]))

    def clear(self) -> None:
        """Forget all: everything is told."""
        self._rows.clear()
        self._others.clear()

    def _keep(self, place: Place, at_ms: int) -> None:
        packed, papers = self._places.packed(place), self._papers(place.subject)
        self._others.pop(packed, None)
        if papers.consents or papers.replaced:
            self._others[packed] = papers
            kept = _OTHER
        else:
            kept = _THEN + self._files.packed(place.subject)
        self._rows[packed] = _AT.pack(at_ms) + kept
