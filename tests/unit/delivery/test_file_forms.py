"""The same records give the same file, whatever the pieces they are read in; it ends where it must."""

from io import BytesIO

import fastavro
import pytest

from broker.delivery.file_forms import FileForm, pages
from broker.delivery.formats import Page
from broker.errors import KafkaUnavailable
from broker.model.file_format import FileFormat
from tests.unit.delivery.conftest import barrier, delivery, page, value

LOG = [delivery(0, value()), barrier(1), delivery(3, value()), delivery(4, value(300)), delivery(6, value(300))]
END = 8


def read(position: int, limit: int) -> Page:
    found = [each for each in LOG if each.offset >= position][:limit]
    return page(*found, position=found[-1].offset + 1 if len(found) == limit else END)


async def file(form: FileFormat, limit: int, *, start: int = 0, end: int = END, most: int = 100) -> tuple[bytes, int]:
    async def more(position: int) -> Page:
        return read(position, limit)

    first = read(start, limit)
    made = FileForm.of(form, first)
    written, position = made.opening, start
    async for held in pages(made, first, end, more, most=most):
        written, position = written + made.piece(held), held.position
    return written, position


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_an_ndjson_file_is_the_same_whatever_its_pieces_and_holds_every_schema(limit: int) -> None:
    written, position = await file(FileFormat.NDJSON, limit)
    assert (written, position) == (await file(FileFormat.NDJSON, 100))
    assert (written.count(b"\n"), position) == (5, END)


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_an_avro_file_ends_before_another_schema(limit: int) -> None:
    written, position = await file(FileFormat.AVRO, limit)
    assert (len(list(fastavro.reader(BytesIO(written)))), position) == (3, 4)
    written, position = await file(FileFormat.AVRO, limit, start=4)
    assert (len(list(fastavro.reader(BytesIO(written)))), position) == (2, END)


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_a_file_has_at_most_as_many_items_and_ends_at_the_end_that_was_set(limit: int) -> None:
    assert (await file(FileFormat.NDJSON, limit, most=2))[0].count(b"\n") == 2
    assert (await file(FileFormat.NDJSON, limit, most=2))[1] in {2, 3}
    assert (await file(FileFormat.NDJSON, limit, end=3))[1] == 3


async def test_what_is_there_but_cannot_be_read_ends_in_an_error_and_not_in_silence() -> None:
    async def nothing(position: int) -> Page:
        return page(position=position)

    first = read(0, 1)
    with pytest.raises(KafkaUnavailable):
        [held async for held in pages(FileForm.of(FileFormat.NDJSON, first), first, END, nothing)]
