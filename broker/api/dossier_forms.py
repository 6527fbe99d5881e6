"""What an agency states of a file on a subject: the forms of a single request and of each line of a bulk file."""

import re
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from broker.policy.calendar import within

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T")


def _written(value: object) -> object:
    if not (isinstance(value, str) and _INSTANT.match(value)):  # pydantic would read digits as seconds since 1970
        raise ValueError("must be an instant such as 2026-01-01T00:00:00Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(within)]
Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/:-]*$")]

Subject = Annotated[str, Field(min_length=1, max_length=400, repr=False)]


class Form(BaseModel):
    """Base of what is stated about a subject: nothing unknown, nothing quoted."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class DossierForm(Form):
    """A file on one subject (INSZ or KBO number), under the agency's own reference."""

    subject: Subject
    reference: Word
    capacity: Word = "dossierbehandeling"
    begin: Instant | None = None
    end: Instant | None = None


class ClosingForm(Form):
    """Which file ends, and when (now if absent)."""

    subject: Subject
    reference: Word
    end: Instant | None = None
