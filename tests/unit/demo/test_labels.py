"""Words for citizens: whatever an agreement does with a field has a name, and says what it was given."""

import pytest

from broker.demo.labels import derived, replaced
from broker.model.agreement import ReleasedField, Transform


@pytest.mark.parametrize("transform", sorted(set(Transform) - {Transform.KEEP}))
def test_every_transform_has_words(transform: Transform) -> None:
    field = ReleasedField("geboorte.datum", transform, "", "x", ("44021", "44083"))
    assert len(derived(field)) > 5
    assert len(replaced(field)) > 10
    assert "{" not in derived(field) + replaced(field)


def test_a_question_says_what_is_asked() -> None:
    age = ReleasedField("geboorte.datum", Transform.AGE, "", "x", ("65",))
    assert derived(age) == "65 jaar of ouder"
    place = ReleasedField("verblijfplaats.gemeente.nis", Transform.LIVES_IN, "", "x", ("44021", "44083"))
    assert replaced(place) == "vervangen door ja of neen: woont in 44021 of 44083?"
