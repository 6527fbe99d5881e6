"""How a file of deliveries is written."""

from enum import StrEnum


class FileFormat(StrEnum):
    """The value is also the ending of a file's name."""

    NDJSON = "ndjson"
    AVRO = "avro"
