"""One installation holds synthetic persons or real ones."""

import pytest

from broker.errors import Invalid
from broker.model.identifiers import make_test_insz
from broker.model.wall import SubjectWall, admitted_subjects

TEST = str(make_test_insz("1985-07-30", 33))
LISTED = "85073003328"


def test_a_synthetic_installation_takes_test_numbers_and_listed_ones_only() -> None:
    assert SubjectWall("synthetic").verdict(TEST) is None
    assert SubjectWall("synthetic").verdict(LISTED) == "REAL_SUBJECT"
    assert SubjectWall("synthetic", frozenset({LISTED})).verdict(LISTED) is None


def test_a_real_installation_refuses_test_numbers_even_if_listed() -> None:
    assert SubjectWall("real").verdict(LISTED) is None
    assert SubjectWall("real", frozenset({TEST})).verdict(TEST) == "TEST_SUBJECT"


@pytest.mark.parametrize("text", ["", "8507300332", "85.07.30-033.28", "8507300332x", "٨٥٠٧٣٠٠٣٣٢٨"])
@pytest.mark.parametrize("persons", ["synthetic", "real"])
def test_what_is_no_number_passes_nowhere(persons, text) -> None:
    assert SubjectWall(persons).verdict(text) == "INSZ_INVALID"


def test_a_list_file_has_comments_and_separators() -> None:
    assert admitted_subjects(f"# samples\n\n85.07.30-033.28  # persona 1\n{TEST}\n") == {LISTED, TEST}


def test_a_wrong_line_is_named_but_not_repeated() -> None:
    with pytest.raises(Invalid) as refused:
        admitted_subjects("85073003328\n85073003329\n")
    assert "line 2" in str(refused.value)
    assert "85073003329" not in str(refused.value)
