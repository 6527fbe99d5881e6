"""The words of a mapping's `source:` for files of rows."""

from typing import Annotated, Literal

from pydantic import Field

from adapters.file_form import FilesForm


class CsvSource(FilesForm):
    """A folder or one file. What is not stated is seen from the file itself."""

    kind: Literal["csv"]
    separator: Annotated[str, Field(min_length=1, max_length=1)] | Literal["tab"] | None = None
    quote: Annotated[str, Field(min_length=1, max_length=1)] | Literal["none"] = '"'
    encoding: Literal["utf-8", "utf-8-sig", "cp1252"] | None = None
    columns: list[str] | int | None = Field(default=None)
    """Names of the columns of a file without a header row, or their number: then they are called 1, 2, …"""
    sheet: str | None = None
    """Sheet of a workbook; default: the first one."""

    @property
    def names(self) -> list[str] | None:
        """Names of the columns, where the mapping gives them."""
        return [str(number) for number in range(1, self.columns + 1)] if isinstance(self.columns, int) else self.columns
