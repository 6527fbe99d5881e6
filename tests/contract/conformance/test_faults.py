from pathlib import Path

import pytest

from adapters.conformance.catalogue import CHECKS
from adapters.conformance.kit import Outcome
from tests.contract.conformance import faulty
from tests.contract.conformance.playing import SAMPLE, outcomes, played

FAULTS = [(fault, False) for fault in faulty.ON_DISK] + [(fault, True) for fault in faulty.ON_THE_WEB]


@pytest.mark.parametrize("http", [False, True], ids=["on disk", "over http"])
def test_a_good_adapter_passes(tmp_path: Path, *, http: bool) -> None:
    verdicts = played(faulty.Good, SAMPLE, tmp_path, "hinder.v1", http=http)
    assert {code: each.outcome for code, each in verdicts.items() if each.outcome is not Outcome.HELD} == (
        {} if http else dict.fromkeys(verdicts.keys() & WEB_ONLY, Outcome.NOT_HERE)
    )


WEB_ONLY = {
    "SERVER_ERROR_IS_RETRIABLE",
    "TOO_MANY_REQUESTS_IS_RETRIABLE",
    "CUT_OFF_ANSWER_IS_RETRIABLE",
    "RECOVERS_AFTER_TROUBLE",
    "SLOW_SERVER_CAN_BE_LEFT",
    "ENDLESS_ANSWER_IS_BOUNDED",
    "OTHER_HOST_IS_NOT_CALLED",
}


@pytest.mark.parametrize(("fault", "http"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_fault_fails_on_its_own_check_and_on_no_other(
    tmp_path: Path, fault: type[faulty.Good], *, http: bool
) -> None:
    found = outcomes(played(fault, SAMPLE, tmp_path, "hinder.v1", http=http), Outcome.BROKEN)
    assert [f"{code}." for code in found] == [fault.__doc__], found


def test_there_are_checks_enough_and_each_says_what_to_do() -> None:
    assert len(CHECKS) >= 20
    assert [each.code for each in CHECKS if not each.guarantee or not each.remedy] == []
    known = {each.code for each in CHECKS}
    assert len(known) == len(CHECKS)
    assert [each.code for each in CHECKS if not known.issuperset(each.after)] == []


def test_no_verdict_quotes_the_source(tmp_path: Path) -> None:
    values = {cell for line in SAMPLE.read_text().splitlines()[1:] for cell in line.split(",") if len(cell) > 4}
    for fault in (faulty.QuotesErrors, faulty.ChokesOnHalves, faulty.NamesSomebody, faulty.MakesDo):
        for verdict in played(fault, SAMPLE, tmp_path / fault.__name__, "hinder.v1").values():
            assert not [value for value in values if value in verdict.seen]
