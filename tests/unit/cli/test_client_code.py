"""`datanuts client generate`: from an agreement's egress schema to a module on disk."""

import ast
import stat
from pathlib import Path

import httpx
import pytest

from broker.cli import client
from tests.unit.api.conftest import EGRESS, bearer
from tests.unit.cli.conftest import Run

MADE = client.Client.__init__


def test_a_module_is_written(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("client", "generate", "parkeren", "--as", "gent-parkeren") == 0
    shown = capsys.readouterr().out
    assert "    achternaam: str\n" in shown
    output = tmp_path / "parkeren.py"
    assert run("client", "generate", "parkeren", "--as", "gent-parkeren", "--output", str(output)) == 0
    assert output.read_text() == shown
    assert "Agreement: parkeren\nVersion: 1\n" in (ast.get_docstring(ast.parse(shown)) or "")
    assert not stat.S_IMODE(output.stat().st_mode) & 0o111


def test_anothers_agreement_is_not_there(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "jeugd.py"
    assert run("client", "generate", "jeugd", "--as", "gent-parkeren", "--output", str(output)) == 1
    assert "NOT_FOUND" in capsys.readouterr().err
    assert not output.exists()


def test_a_broker_elsewhere_is_reached_with_the_token_of_the_environment(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((str(request.url), request.headers["authorization"]))
        body = (
            {"id": "parkeren", "version": 4, "egressSchemaId": 7}
            if "agreements" in str(request.url)
            else {"schema": EGRESS}
        )
        return httpx.Response(200, json=body)

    monkeypatch.setattr(
        client.Client,
        "__init__",
        lambda self, url, key: MADE(self, url, key, transport=httpx.MockTransport(answer)),
    )
    arguments = ("client", "generate", "parkeren", "--url", "https://broker.example", "--version", "4")
    monkeypatch.delenv("DATANUTS_TOKEN", raising=False)
    assert run(*arguments) == 1
    assert "DATANUTS_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("DATANUTS_TOKEN", bearer("agency")["Authorization"].removeprefix("Bearer ") + "\n")
    assert run(*arguments) == 0
    assert "Version: 4" in capsys.readouterr().out
    assert asked == [
        ("https://broker.example/v1/agreements/parkeren?version=4", bearer("agency")["Authorization"]),
        ("https://broker.example/schemas/ids/7", bearer("agency")["Authorization"]),
    ]
