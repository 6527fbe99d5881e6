"""Equal parts of documents become one object, and a document stays what it was."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.model.sharing import Shared

LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.text("ab", max_size=2)
VALUES = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text("ab", max_size=2), part), max_leaves=8
)


@given(st.lists(st.dictionaries(st.text("ab", max_size=2), VALUES, max_size=4), max_size=6))
def test_a_shared_document_is_equal_down_to_its_types(documents) -> None:
    shared = Shared()
    assert [repr(shared.document(document)) for document in documents] == [repr(document) for document in documents]


def test_equal_parts_are_one_object() -> None:
    shared = Shared()
    first, second = (shared.document({"id": name, "fields": [{"path": "insz"}]}) for name in ("a", "b"))
    assert first["fields"] is second["fields"]
    assert shared.document({"fields": [True]})["fields"] is not shared.document({"fields": [1]})["fields"]


def test_what_is_nested_too_deeply_is_taken_as_it_is() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert Shared().document({"deep": deep})["deep"] is deep
