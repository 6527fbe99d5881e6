"""A complete adapter: the roadworks in a municipality's CSV file → hinder.v1."""

from collections.abc import AsyncIterator

from adapters.delimited import rows_of
from adapters.sdk import Broken, Change, Item
from adapters.sources import from_cursor

COLUMNS = ("nummer", "straat", "postcode", "omschrijving", "begin", "einde", "gewijzigd")


class Roadworks:
    """Reads a CSV with these columns."""

    name, sources = "example", {"hinder.v1": "stad-gent"}

    def __init__(self, source: str) -> None:
        self.source = source

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Every row, every time: the runner recognises the rows that did not change."""
        rows = rows_of(self.source, COLUMNS)
        async for item_and_cursor in from_cursor([hindrance(row) for row in rows], cursor):
            yield item_and_cursor


def hindrance(row: dict[str, str]) -> Item:
    """One row as a record; a row without the time of its change goes to the quarantine."""
    iri = f"https://gent.example/id/hinder/{row['nummer']}"
    if not row["gewijzigd"]:
        return Broken(iri, "FIELD_MISSING", "recordedAt")
    value = {"kind": "changed", "recordedAt": row["gewijzigd"], "identificator": iri, "versie": f"{iri}/1"}
    street = {"straatnaam": row["straat"], "postcode": row["postcode"], "gemeente": {"nis": "44021", "naam": "Gent"}}
    details = {"omschrijving": row["omschrijving"], "locatie": street, "contactorganisaties": []}
    periods = [{"begin": row["begin"], "einde": row["einde"]}]
    return Change(iri, "hinder.v1", {**value, **details, "perioden": periods, "zones": [], "oorzaken": []})


build = Roadworks
