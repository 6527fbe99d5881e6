from pathlib import Path

import pytest

from adapters import registry
from broker.errors import Invalid


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_adapter_of_the_package_says_what_it_is(name: str) -> None:
    adapter = registry.load(name, "")
    assert adapter.name == name
    assert adapter.sources
    assert registry.describe(name)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of somebody else's, on the path."""
    (tmp_path / "van_derden").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "van_derden"


def test_a_module_of_somebody_elses_is_an_adapter(elsewhere: Path) -> None:
    (elsewhere / "goed.py").write_text("from adapters.example import Roadworks as build\n")
    assert registry.load("van_derden.goed", "x.csv").sources == {"hinder.v1": "stad-gent"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "nergens",
            "",
            "there are basisregisters, bestuurseenheden, example, ipdc, ldes, magda, mandatarissen, synthetic",
        ),
        ("../etc/passwd", "", "no adapter"),
        ("van_derden.afwezig", "", "no module van_derden.afwezig"),
        ("van_derden.slecht", "x = 1", "no factory"),
        (
            "van_derden.leeg",
            "class build:\n name = 'leeg'\n sources = {}\n def __init__(self, source): ...",
            "no product",
        ),
        (
            "van_derden.fout",
            "class build:\n name = 'fout'\n sources = {'X': 'y'}\n def __init__(self, source): ...",
            "persoon.v1",
        ),
        (
            "van_derden.naam",
            "class build:\n name = 'N N'\n sources = {'hinder.v1': 'y'}\n def __init__(self, source): ...",
            "slug",
        ),
        ("van_derden.afhankelijk", "import bestaat_nergens", "no module bestaat_nergens"),
    ],
)
def test_what_is_no_adapter_is_refused_with_what_to_do(elsewhere: Path, name: str, text: str, told: str) -> None:
    module = name.rpartition(".")[2]
    if text:
        (elsewhere / f"{module}.py").write_text(text)
    with pytest.raises(Invalid, match=told):
        registry.load(name, "source")
