"""A page of a stream in every form that an agency may ask for: one table, media type to form.

Pure: who may see the page was settled before. Another form is one more line in `FORMS`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from broker.delivery import container, linked
from broker.delivery.streams import Egress, Message, Stream, cursor, item
from broker.model.record import schema_id_of
from broker.model.registered import RegisteredSchema
from broker.policy.odrl_terms import BASE
from broker.schema.linked_terms import node_type

JSON = "application/json"
NDJSON = "application/x-ndjson"
AVRO = "application/avro"

_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive records of one stream as its agency may see them, and the position after them.

    `schema_id` is that of the first value, or of the version in force where there is no value; `base` is what the
    installation's own IRIs begin with.
    """

    stream: Stream
    messages: tuple[Message, ...]
    position: int
    schemas: Mapping[int, RegisteredSchema]
    schema_id: int | None
    egress: Egress
    base: str = BASE

    @classmethod
    def of(
        cls,
        stream: Stream,
        messages: tuple[Message, ...],
        position: int,
        *,
        schemas: Mapping[int, RegisteredSchema],
        in_force: int | None,
        egress: Egress,
        base: str = BASE,
    ) -> "Page":
        """The page; `in_force` is the schema id of the version in force."""
        stated = (schema_id_of(message.value) for message in messages if message.value)
        return cls(stream, messages, position, schemas, next(stated, in_force), egress, base)

    @property
    def next(self) -> str:
        """Cursor to go on with."""
        return cursor(self.stream, self.position)

    @property
    def schema(self) -> str | None:
        """Avro JSON of the page's schema; None where it is not known."""
        known = self.schemas.get(self.schema_id or 0)
        return None if known is None else known.text

    def data(self, message: Message) -> Any:
        """JSON-able value of a record of the page; None where it has none. Raises `NotYetKnown`."""
        return self.egress.decode(message.value, self.schemas) if message.value else None

    def items(self) -> list[dict[str, Any]]:
        """Every record as an object of JSON; raises `NotYetKnown` while a schema has not arrived."""
        return [item(self.stream, message, self.data(message)) for message in self.messages]

    def of_schema(self, schema_id: int | None) -> "Page":
        """The page up to the first value of another schema."""
        for number, message in enumerate(self.messages):
            if message.value and schema_id_of(message.value) != schema_id:
                return replace(self, messages=self.messages[:number], position=message.offset, schema_id=schema_id)
        return replace(self, schema_id=schema_id)

    def before(self, position: int) -> "Page":
        """The page up to a position."""
        kept = tuple(message for message in self.messages if message.offset < position)
        return replace(self, messages=kept, position=min(self.position, position))


@dataclass(frozen=True, slots=True)
class Form:
    """How a page is written; `one_schema` tells that it cannot hold values of two schemas."""

    media_type: str
    render: Callable[[Page], bytes]
    one_schema: bool = False


def as_json(page: Page) -> bytes:
    """One object: the items and the cursor to go on with."""
    return line({"agreement": page.stream.agreement, "items": page.items(), "next": page.next})


def as_ndjson(page: Page) -> bytes:
    """One item per line; pages of one stream may be joined."""
    return b"".join(line(item) + b"\n" for item in page.items())


def as_avro(page: Page) -> bytes:
    """An object container file of the page's one schema."""
    before = container.opening(page.stream, page.schema)
    return before + container.block(page.stream, page.messages, before)


def as_json_ld(page: Page) -> bytes:
    """The items as nodes (`linked`), in order, with the context that gives their fields OSLO's terms."""
    type_ = None if page.schema is None else node_type(page.schema, page.base)
    iris = linked.Iris(page.base, page.stream.agreement)
    nodes = [linked.member(item, iris, type_ if item.get("data") is not None else None) for item in page.items()]
    head = {"agreement": page.stream.agreement, "items": nodes, "next": page.next}
    return line({"@context": linked.page_context(page.base, type_), "@type": linked.PAGE} | head)


FORMS: Mapping[str, Form] = {
    form.media_type: form
    for form in (
        Form(JSON, as_json),
        Form(NDJSON, as_ndjson),
        Form(AVRO, as_avro, one_schema=True),
        Form("avro/binary", as_avro, one_schema=True),
        Form(linked.MEDIA_TYPE, as_json_ld, one_schema=True),
    )
}
"""By media type, the preferred one first."""


def rendered(page: Page, form: Form) -> tuple[bytes, Page]:
    """The page in `form`, and what of it that holds: a form of one schema may have to stop earlier."""
    held = page.of_schema(page.schema_id) if form.one_schema else page
    return form.render(held), held


def line(value: Any) -> bytes:
    """JSON on one line, also for readers that end lines where Unicode does (U+0085, U+2028, U+2029)."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
