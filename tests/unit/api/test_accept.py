"""What an Accept header asks for."""

import pytest

from broker.api.accept import negotiated
from broker.errors import NotAcceptable

OFFERED = ("application/json", "application/x-ndjson", "application/avro")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, 0), ("", 0), (" ", 0), ("*/*", 0), ("application/*", 0), ("application/avro", 2), ("Application/AVRO", 2),
        ("text/html, application/x-ndjson", 1), ("application/avro;q=0.5, application/json;q=0.4", 2),
        ("application/json;q=0, */*", 1), ("application/*;q=0.1, application/avro;q=0.2", 2), ("text/html,*/*;q=0.8", 0),
        ("application/x-ndjson;charset=utf-8", 1), ("application/avro; q=1.0 , application/json", 0),
    ],
)  # fmt: skip
def test_the_preferred_type_that_is_offered(accept: str | None, chosen: int) -> None:
    assert negotiated(accept, OFFERED) == OFFERED[chosen]


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;q=0", "application/json;q=x", ",", ";", "*", "a/b;q=2", "text/*"]
)
def test_nothing_of_the_kind(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="application/x-ndjson"):
        negotiated(accept, OFFERED)
