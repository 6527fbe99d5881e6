"""JSON-LD contexts that an operator reviewed: a folder, and which address each of its files stands for.

Whoever writes a context decides what data mean (JSON-LD 1.1, "Security Considerations": remote contexts), so none is
ever fetched. A document that names another one is refused as CONTEXT_UNKNOWN.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broker.errors import Invalid

FOLDER = "DATANUTS_JSONLD_CONTEXTS"
"""Variable of the environment that names the folder."""

INDEX = "contexts.json"
"""File in the folder: an object of address → file beside it. Several addresses can stand for one file."""

_LARGEST = 4 << 20


def reviewed(environ: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """Contexts by address, none where no folder is named. Raises `Invalid`, which says what to mend."""
    named = environ.get(FOLDER)
    if not named:
        return {}
    folder = Path(named)
    index = _json(folder / INDEX)
    if not isinstance(index, dict) or not all(isinstance(file, str) for file in index.values()):
        raise Invalid(f"{FOLDER}: {INDEX} is an object of addresses and the names of files beside it")
    texts = {name: _json(_beside(folder, name)) for name in set(index.values())}
    return {address: _context(texts[file], file) for address, file in index.items()}


def _beside(folder: Path, name: str) -> Path:
    if Path(name).name != name:
        raise Invalid(f"{FOLDER}: {INDEX} names files beside it, without folders")
    return folder / name


def _json(file: Path) -> Any:
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise Invalid(f"{FOLDER}: {file.name} is larger than {_LARGEST >> 20} MiB")
        return json.loads(text)
    except OSError as error:
        raise Invalid(f"{FOLDER}: {file.name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Invalid(f"{FOLDER}: {file.name} is no JSON") from None


def _context(document: Any, file: str) -> Mapping[str, Any]:
    """What the document says as `@context`: one object, which names no other document."""
    found = document.get("@context") if isinstance(document, dict) else None
    if not isinstance(found, dict) or _names_another(found):
        raise Invalid(f"{FOLDER}: {file} has one @context, an object that names no other document")
    return found


def _names_another(node: Any) -> bool:
    """Whether a context inside is an address, or imports one: it would be asked of the network."""
    if isinstance(node, list):
        return any(map(_names_another, node))
    if not isinstance(node, dict):
        return False
    inner = node.get("@context")
    inside = inner if isinstance(inner, list) else [inner]
    return "@import" in node or any(isinstance(each, str) for each in inside) or any(map(_names_another, node.values()))
