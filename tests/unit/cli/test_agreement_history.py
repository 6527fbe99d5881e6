"""`what-if` and `redecide` on the command line: what a person reads, and what is refused before anyone is asked."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from broker.cli import agreement_history
from broker.cli.main import FAILED, REFUSED, main

ROOT = Path(__file__).parents[3]
GENT = str(ROOT / "policies" / "agreements" / "inwoners-gent.yaml")
SIDE = {"released": 20, "withoutValues": "<5", "subjects": 10, "bytes": 2300, "withheld": {"NOT_IN_TERM": 15}}
RESULT = {
    "agreement": "inwoners-gent",
    "version": 2,
    "since": "2026-11-19T00:00:00+00:00",
    "against": 1,
    "fields": [{"path": "naam.achternaam", "as": "keep"}],
    "complete": False,
    "records": 40,
    "subjects": 20,
    "files": 0,
    "draft": SIDE,
    "current": SIDE,
    "gained": "<5",
    "lost": 5,
}
DECISION = {
    "agreement": "inwoners-gent",
    "version": 1,
    "check": "different",
    "why": "decided otherwise",
    "recorded": {"outcome": "release", "kind": "changed", "reason": None},
    "decided": {"outcome": "withhold", "kind": "changed", "reason": "SUSPENDED"},
    "policySha256": "0f" * 32,
    "sameToday": False,
}


class Broker:
    """Plays the broker."""

    def __init__(self, *lines: Mapping[str, Any]) -> None:
        self._lines = lines
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def lines(self, path: str, body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        self.asked.append((path, body))
        yield from self._lines

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append((path, body))
        place = {"topic": "source.rijksregister.persoon.v1", "lane": 3, "offset": 7, "epoch": 21}
        return place | {"decidedAt": "2026-11-20T00:00:00+00:00", "decisions": [DECISION]}


def played(monkeypatch: pytest.MonkeyPatch, *lines: Mapping[str, Any]) -> Broker:
    broker = Broker(*lines)
    monkeypatch.setattr(agreement_history, "connect", lambda _given: broker)
    return broker


def test_a_draft_is_tried_with_progress_beside_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = played(monkeypatch, {"read": 7, "total": 40}, {"result": RESULT})
    assert main(["agreement", "what-if", GENT, "--since", "7d", "--as", "stad-gent"]) == 0
    out, err = capsys.readouterr()
    assert err == "read 7 of 40 records\n"
    for told in (
        "inwoners-gent version 2 against version 1 in force",
        "this covers a part of the history only",
        "40 records about 20 subjects; nothing was delivered",
        "no file is registered under this agreement",
        "withheld, NOT_IN_TERM",
        "subjects gained: <5, lost: 5",
        "fields: naam.achternaam (keep)",
    ):
        assert told in out
    ((path, body),) = broker.asked
    assert (path, body["document"]["id"]) == ("/v1/policy/what-if", "inwoners-gent")


def test_an_answer_that_breaks_off_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, {"read": 7, "total": 40})
    assert main(["agreement", "what-if", GENT, "--since", "7d"]) == FAILED


@pytest.mark.parametrize(
    ("text", "ago"), [("7d", timedelta(days=7)), ("36h", timedelta(hours=36)), ("2026-11-01T00:00:00Z", timedelta(25))]
)
def test_since_is_a_time_ago_or_an_instant(text: str, ago: timedelta) -> None:
    now = datetime(2026, 11, 26, tzinfo=UTC)
    assert agreement_history._since(text, now) == now - ago


@pytest.mark.parametrize(
    "arguments",
    [
        ["what-if", GENT, "--since", "0d"],
        ["what-if", GENT, "--since", "gisteren"],
        ["what-if", GENT, "--since", "2026-11-01"],
        ["what-if", "inwoners-gent", "--since", "7d"],
        ["redecide", "xyz"],
        ["redecide", "3/"],
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused_before_anyone_is(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    broker = played(monkeypatch)
    assert main(["agreement", *arguments]) == REFUSED
    assert broker.asked == []


@pytest.mark.parametrize(
    ("receipt", "asked"), [("3/7", {"lane": 3, "offset": 7}), ("ab" * 16, {"delivery": "ab" * 16})]
)
def test_a_decision_that_comes_out_otherwise_is_shown_beside_what_was_recorded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], receipt: str, asked: Mapping[str, Any]
) -> None:
    broker = played(monkeypatch)
    assert main(["agreement", "redecide", receipt]) == 0
    out = capsys.readouterr().out
    assert broker.asked == [("/v1/policy/redecide", asked)]
    for told in ("different", "release changed", "withhold SUSPENDED", "0f0f0f", "not the same today"):
        assert told in out
