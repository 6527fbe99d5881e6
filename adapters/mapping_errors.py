"""What is wrong with a mapping file: all of it at once, each with its line, its path and what to do."""

from typing import NamedTuple

from broker.errors import MappingRefused as MappingRefused  # noqa: PLC0414 - one name for who reads mappings


class Finding(NamedTuple):
    """One mistake; `path` is the target field's, or the key's, that it is about."""

    line: int
    path: str
    text: str
