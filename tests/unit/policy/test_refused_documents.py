"""The documents under `refused/`: each is told with file, place, clause and what to do, and they show every code there is.

The first line of a document says what must be found in it, and nothing else may be: `# CODE path; CODE path`.
"""

import json
import re
from pathlib import Path

import pytest

from broker.cli.main import main
from broker.policy import check, clauses, documents, forms, limits

REFUSED = Path(__file__).parent / "refused"
DOCUMENTS = {path.stem: path for path in sorted(REFUSED.glob("*.yaml"))}
FOLDERS = ("--policies", str(REFUSED / "policies"), "--schemas", str(REFUSED / "schemas"))
TO_DO = re.compile(
    r"\b(add|ask|choose|correct|drop|give|keep|leave out|list|must|name|narrow|order|put|register|remove|required|say|see|"
    r"select|set|use|write|needs)\b"
)
LAW = re.compile(r"\b(art\. \d|GDPR|Act of|[dD]ecree|authorisation)")


def expected(path: Path) -> set[tuple[str, str]]:
    first = path.read_text().splitlines()[0].removeprefix("# ")
    return {(code, place) for code, _, place in (found.partition(" ") for found in first.split("; "))}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_refusal_names_file_place_clause_and_what_to_do(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = DOCUMENTS[name]
    assert main(["agreement", "check", "--json", *FOLDERS, str(path)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["ok"]) == (str(path), False)
    assert {(found["code"], found["path"]) for found in told["findings"]} == expected(path)
    for found in told["findings"]:
        assert TO_DO.search(found["text"]), found
        assert LAW.search(found["text"]) or not name.startswith("gap-"), found


def test_people_read_the_same_in_one_line_per_clause(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agreement", "check", *FOLDERS, *map(str, DOCUMENTS.values())]) == 1
    shown = capsys.readouterr().out.splitlines()
    headers = [line for line in shown if not line.startswith("  ")]
    assert [line.partition(": ")[0] for line in headers] == [str(path) for path in DOCUMENTS.values()]
    assert len(shown) - len(headers) == sum(len(expected(path)) for path in DOCUMENTS.values())
    assert all(re.fullmatch(r"  \S.*: .+ \[[A-Z0-9_]+\]", line) for line in shown if line.startswith("  "))


def test_there_are_enough_of_them_and_every_code_is_among_them() -> None:
    assert len(DOCUMENTS) >= 60
    written = {
        code
        for module in (check, limits, clauses, documents, forms)
        for code in re.findall(r'"([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+|MISSING)"', Path(module.__file__ or "").read_text())
    }
    assert written == {code for path in DOCUMENTS.values() for code, _ in expected(path)}
