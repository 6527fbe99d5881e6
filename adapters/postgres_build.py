"""A mapping's `source:` for PostgreSQL checked as a whole, and the adapter made of it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from adapters.mapping import ProductMapping
from adapters.mapping_errors import Finding, MappingRefused
from adapters.postgres_form import PostgresSource
from adapters.postgres_poll import PostgresPoll
from broker.errors import Invalid

_GIVEN = "--source is HOST, HOST:PORT or HOST:PORT/DATABASE, without a user or password in it"


def build(made: ProductMapping, form: PostgresSource, given: str | None) -> PostgresPoll:
    """The adapter for the mapping's database, or another one of the same form; raises `MappingRefused` and `Invalid`."""
    form = form if given is None else _elsewhere(form, given)
    if findings := [
        Finding(made.text.line(("source", *place)), ".".join(("source", *place)), told)
        for place, told in _wrong(made, form)
    ]:
        raise MappingRefused(str(made.file), tuple(findings))
    return PostgresPoll(made, form)


def _elsewhere(form: PostgresSource, given: str) -> PostgresSource:
    """The form with the place that `given` names."""
    stated = given.removeprefix("postgresql:").removeprefix("//")
    try:
        parts = urlsplit(f"//{stated}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or "@" in given or "?" in given:
        raise Invalid(_GIVEN)
    place = {"host": host, "port": port or form.port, "database": parts.path.strip("/") or form.database}
    return form.model_copy(update=place)


_Wrong = Iterator[tuple[tuple[str, ...], str]]


def _wrong(made: ProductMapping, form: PostgresSource) -> _Wrong:
    for word in ("host", "database", "user"):
        if getattr(form, word) is None:
            yield (), f"`{word}` is missing: add it below `source:`"
    if form.tls == "disable" and not form.on_this_machine:
        yield ("tls",), "rows go over TLS only, except within this machine: drop it, or name the authority in `ca`"
    if form.ca is not None and form.tls not in {"verify-ca", "verify-full"}:
        yield ("ca",), "is for `tls: verify-full` (or verify-ca): add it, or drop `ca`"
    if form.listen is not None and form.outbox is None:
        yield ("listen",), "is for an outbox: drop it"
    yield from _reading(made, form)


def _reading(made: ProductMapping, form: PostgresSource) -> _Wrong:
    """What is read is said once, and goes with what the mapping makes of it."""
    reading = [word for word in ("outbox", "slot", "query") if getattr(form, word) is not None] or ["table"]
    if len(reading) > 1 or (reading == ["table"] and form.table is None):
        yield (), "read one of `outbox`, `slot` with `table`, or with `snapshot: true` `query` or `table`"
        return
    [way] = reading
    if form.table is not None and way in {"outbox", "query"}:
        yield ("table",), f"`{way}` says what is read: drop `table`"
    if way == "slot" and (form.table is None or form.publication is None):
        yield ("slot",), "goes with `publication` and `table`: add them"
    if way != "slot" and (form.publication is not None or form.initial):
        yield (), "`publication` and `initial` go with `slot`: add it, or drop them"
    if way in {"query", "table"} and not made.snapshot:
        yield (way,), "is read whole each time: add `snapshot: true`"
    if way in {"outbox", "slot"} and made.snapshot:
        yield (way,), "tells changes, and a snapshot is the whole: drop one of the two"
