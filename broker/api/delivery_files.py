"""One agreement's deliveries up to now as one download, as NDJSON or as an Avro file."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from broker.api.agreements import AgreementId
from broker.api.auth import Caller
from broker.api.deliveries import After, next_link
from broker.api.pouring import OpenAnswers, Poured
from broker.api.reading import Reading
from broker.api.services import Broker
from broker.api.sunsets import sunset_headers
from broker.delivery.file_forms import FileForm, pages
from broker.delivery.formats import AVRO, NDJSON, Page
from broker.delivery.streams import cursor, position_of
from broker.errors import Invalid
from broker.model.file_format import FileFormat

routes = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])

_PIECE = 1000
_MEDIA_TYPES = {FileFormat.NDJSON: NDJSON, FileFormat.AVRO: AVRO}
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {} for kind in _MEDIA_TYPES.values()}}}


@routes.get("/{agreement}/file", response_class=Response, responses=_SHOWN)
async def file(
    agreement: AgreementId,
    request: Request,
    broker: Broker,
    caller: Caller,
    after: After = None,
    since: Annotated[datetime | None, Query(description="Instant with its zone, instead of `after`.")] = None,
    format: Annotated[FileFormat, Query()] = FileFormat.NDJSON,  # noqa: A002 - its name in the URL
) -> Response:
    """Everything after the cursor, or committed since an instant, up to the head as it was when the request came.

    An interrupted download goes on after the `cursor` of its last whole item. An NDJSON file leads on by `Link: rel="next"`.
    An Avro file may end before the head, where the schema changes: go on after its last item until a file has none.
    """
    reading = Reading.of(request, broker, caller, agreement, "deliver.file")
    if after is not None and since is not None:
        raise Invalid("either `after` or `since`")
    if since is not None and since.tzinfo is None:
        raise Invalid("`since` needs its zone, as 2026-11-26T06:00:00Z does")
    stream = reading.known()
    position = None if after is None else position_of(stream, after)
    answers: OpenAnswers = request.app.state.open_answers
    place = answers.take(caller.organisation)
    with place.preparing():
        end = await broker.deliveries.head(stream.topic)
        if since is not None:
            position = await broker.deliveries.since(stream.topic, max(0, int(since.timestamp() * 1000)))
        page = await reading.page(position, limit=_PIECE)
        end = max(end, position or 0)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{agreement}-{end}.{format}"',
        }
        links = [next_link(request, cursor(stream, end))] if format is FileFormat.NDJSON else []
        headers |= sunset_headers(broker.control.state, agreement, *links)
        pieces = _pieces(reading, page, end, format)
        return Poured(pieces, place=place, media_type=_MEDIA_TYPES[format], headers=headers, whole=True)


async def _pieces(reading: Reading, page: Page, end: int, form: FileFormat) -> AsyncGenerator[bytes, None]:
    """The file; fails, and so is cut, if the right to it changes meanwhile."""
    made, stopped = FileForm.of(form, page), page.stream.stopped

    async def read(position: int) -> Page:
        found = await reading.page(position, limit=_PIECE)
        if found.stream.stopped is not stopped:
            raise Invalid("the agreement stopped meanwhile")
        return found

    yield made.opening
    async for held in pages(made, page, end, read):
        if held.messages:
            yield made.piece(held)
