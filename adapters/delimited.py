"""A CSV file for an adapter that is a program: read whole, and refused whole where it is not what was agreed."""

from collections.abc import Iterable

from adapters.csv_form import CsvSource
from adapters.csv_rows import table
from adapters.file_rows import FileBroken
from adapters.sources import local_path
from broker.errors import Invalid

_FORM = CsvSource(kind="csv", encoding="utf-8-sig")


def rows_of(source: str, columns: Iterable[str]) -> list[dict[str, str]]:
    """Rows of the file (UTF-8, a header in its first line) that `source` names.

    Raises `Invalid` where it is not there, cannot be read to its end, or lacks one of `columns`.
    """
    reason = ""
    try:
        with local_path(source).open("rb") as file:
            found = table(file, "rows.csv", _FORM)
            if lacking := sorted(set(columns) - set(found.columns)):
                raise Invalid(f"the file lacks the columns {', '.join(lacking)}: was one renamed at the source?")
            rows = []
            for number, row in found.rows:
                if isinstance(row, str):
                    raise Invalid(f"row {number} of the file cannot be read: {row}")
                rows.append(dict(zip(found.columns, row, strict=True)))
            return rows
    except FileBroken as broken:
        reason = broken.reason
    except OSError as error:
        reason = type(error).__name__
    raise Invalid(f"the file cannot be read: {reason}")
