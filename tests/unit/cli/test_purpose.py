"""`datanuts purpose`: the list, and one purpose with its codes and its lineage."""

import json

import pytest

from tests.unit.cli.conftest import Run


def test_purposes_are_listed_and_shown_with_what_lies_above(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("purpose", "list") == 0
    assert "parkeerretributie" in capsys.readouterr().out
    assert run("purpose", "show", "parkeerretributie", "--as", "gent-parkeren") == 0
    shown = capsys.readouterr().out
    assert "never more than: handhaving, openbare-taak" in shown
    assert "hoedanigheid: 801" in shown
    assert run("purpose", "show", "openbare-taak") == 0
    assert "lies below no other" in capsys.readouterr().out
    assert run("purpose", "list", "--json") == 0
    assert {"openbare-taak", "statistiek"} <= {each["code"] for each in json.loads(capsys.readouterr().out)}
    assert run("purpose", "show", "statistiek", "--json") == 0
    assert json.loads(capsys.readouterr().out)["lineage"] == ["openbare-taak"]
    assert run("purpose", "show", "onbekend") == 1
