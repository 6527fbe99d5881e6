"""What every policy engine is asked, and that none is told of whose answers differ from ours."""

from collections.abc import Mapping
from typing import Any

import pytest

from bench.policy_engines import _cases, _equal, _Ours
from bench.population import PRODUCT
from broker.cli.documents import PolicyFolder
from broker.errors import Fatal

SIZE = 20


def test_our_engine_answers_what_the_question_means() -> None:
    cases = _cases(SIZE, seconds=0)
    forms = _Ours(PolicyFolder.of(None, None).product_schemas()[PRODUCT], cases).measure(0)
    expected = [_reached(cases["agreements"], record) for record in cases["records"][: cases["checked"]]]
    assert all(one["answers"] == expected for one in forms.values())
    assert [] in expected


def test_some_agreements_are_suspended_and_the_cases_are_the_same_in_every_run() -> None:
    cases = _cases(SIZE, seconds=0)
    assert cases == _cases(SIZE, seconds=0)
    assert sum(not agreement["allowed"] for agreement in cases["agreements"]) == SIZE / 10
    ids = [agreement["id"] for agreement in cases["agreements"]]
    assert len(set(ids)) == SIZE


def test_an_engine_with_other_answers_gives_no_figures() -> None:
    ours = {"first": {"answers": [["a"], []]}}
    _equal({"ours": ours, "other 1": {"lookup": {"answers": [["a"], []]}}}, SIZE)
    with pytest.raises(Fatal, match=r"other 1, rules, 20 agreements: other answers than ours on 1 records"):
        _equal({"ours": ours, "other 1": {"rules": {"answers": [["a"], ["b"]]}}}, SIZE)


def test_nothing_reached_is_nothing_compared() -> None:
    with pytest.raises(Fatal, match="nothing to compare"):
        _equal({"ours": {"first": {"answers": [[], []]}}}, SIZE)


def _reached(agreements: list[Mapping[str, Any]], record: Mapping[str, str]) -> list[str]:
    return sorted(
        each["id"]
        for each in agreements
        if each["allowed"] and (each["nis"], each["purpose"]) == (record["nis"], record["purpose"])
    )
