"""Parts of documents that many documents have alike, held once: thousands of agreements are instances of a few templates."""

import marshal
from collections.abc import Mapping
from sys import intern
from typing import Any

_FORM = 2
"""Of `marshal`, the last without references: equal bytes are equal values of equal types."""


class Shared:
    """Gives equal parts of documents as one object; nobody changes a document that it gave."""

    def __init__(self) -> None:
        self._parts: dict[bytes, Any] = {}

    def document(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """An equal document."""
        return {intern(str(key)): self._part(value) for key, value in document.items()}

    def _part(self, value: Any) -> Any:
        if not isinstance(value, dict | list):
            return value
        try:
            return self._parts.setdefault(marshal.dumps(value, _FORM), value)
        except ValueError:  # nested too deeply to be compared
            return value
