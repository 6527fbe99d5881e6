"""Writes what is published about the types of `schemas/`: `python -m broker.cli.type_files`, in a checkout.

`--check` writes nothing and ends with 1 where a file is not what it would write, naming it.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.cli.documents import PolicyFolder
from broker.schema.publication import type_files

_CHECKOUT = Path(__file__).parents[2]


def stale(root: Path) -> Mapping[str, str]:
    """Files below `root` that are absent or differ, by path, with the text they ought to have."""
    schemas = PolicyFolder.of(schemas=root / "schemas").product_schemas().values()
    due = {path: text for schema in schemas for path, text in type_files(schema).items()}
    return {path: text for path, text in due.items() if not _holds(root / path, text)}


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: Sequence[str]) -> int:
    """Writes or checks the files of this checkout; 0, or 1 where a check finds one that is stale."""
    found = stale(_CHECKOUT)
    for path, text in found.items():
        sys.stdout.write(f"{path}\n")
        if "--check" not in arguments:
            (_CHECKOUT / path).parent.mkdir(parents=True, exist_ok=True)
            (_CHECKOUT / path).write_text(text, encoding="utf-8")
    return int(bool(found)) if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
