"""A stream as a file, piece by piece: NDJSON, or an Avro object container file of one egress schema.

The same records give the same bytes, whatever the pieces they came in.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from broker.delivery import container
from broker.delivery.formats import Page, as_ndjson
from broker.errors import KafkaUnavailable
from broker.model.file_format import FileFormat

_IDLE_READS = 3


@dataclass(frozen=True, slots=True)
class FileForm:
    """How one file is written: what it opens with, and which egress schema its values have (None: not known yet)."""

    format: FileFormat
    schema_id: int | None
    opening: bytes

    @classmethod
    def of(cls, form: FileFormat, page: Page) -> "FileForm":
        """The form of the file that begins with `page`."""
        opening = b"" if form is FileFormat.NDJSON else container.opening(page.stream, page.schema)
        return cls(form, page.schema_id, opening)

    def held(self, page: Page) -> Page:
        """What of the page the file can hold: an Avro file ends before another schema."""
        return page.of_schema(self.schema_id) if self.format is FileFormat.AVRO else page

    def piece(self, page: Page) -> bytes:
        """The records of the page as they follow in the file."""
        if self.format is FileFormat.NDJSON:
            return as_ndjson(page)
        return container.block(page.stream, page.messages, self.opening)


async def pages(
    form: FileForm, page: Page, end: int, read: Callable[[int], Awaitable[Page]], *, most: int | None = None
) -> AsyncGenerator[Page, None]:
    """What the file that begins with `page` holds, at most up to position `end` and `most` items; it ends behind the last one.

    `read` gives the page from a position on. Raises what it raises, and `KafkaUnavailable` where it gives nothing.
    """
    left, idle = most, 0
    while True:
        held = form.held(page.before(end))
        if left is not None:
            if len(held.messages) > left:
                held = held.before(held.messages[left].offset)
            left -= len(held.messages)
        yield held
        if left == 0 or page.position >= end or held.position < page.position:
            return
        page = await read(held.position)
        idle = 0 if page.position > held.position else idle + 1
        if idle > _IDLE_READS:
            raise KafkaUnavailable("deliveries that are there cannot be read now")
