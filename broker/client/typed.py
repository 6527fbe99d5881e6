"""Data as values of the agency's own model."""

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from broker.errors import Invalid

_MOST_SHOWN = 10


def reader(agreement: str, model: type[Any] | None) -> Callable[[Any], Any]:
    """What makes a delivery's data a `model`; it raises `Invalid` naming fields and rules, never a value."""
    if model is None:
        return lambda data: data
    adapter: TypeAdapter[Any] = TypeAdapter(model)

    def read(data: Any) -> Any:
        try:
            return adapter.validate_python(data)
        except ValidationError as error:
            # The library's own text quotes what it read, and so would a traceback with it.
            faults = [
                f"{'.'.join(map(str, line['loc']))} [{line['type']}]"
                for line in error.errors(include_input=False, include_url=False, include_context=False)
            ]
        raise Invalid(
            f"a delivery of {agreement} does not fit the model: {', '.join(faults[:_MOST_SHOWN])}; "
            f"make it again with `datanuts client generate {agreement}`"
        )

    return read
