"""Plots are well-formed, hold what they are told, and can be read without being seen."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cells import Cell
from bench.gallery import plots
from bench.matrix import Result, as_lines
from bench.plots import Bar, bars, lines

SVG = "{http://www.w3.org/2000/svg}"
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn"]), max_size=20)
FIGURE = st.floats(0, 1e9)


@given(TEXT, TEXT, st.lists(st.tuples(TEXT, FIGURE), min_size=1, max_size=8))
def test_bars_are_well_formed_whatever_they_are_called(title: str, unit: str, told: list[tuple[str, float]]) -> None:
    root = ET.fromstring(bars(title, unit, [Bar(name, value, value / 2, value * 2) for name, value in told]))  # noqa: S314 - our own
    assert root.find(f"{SVG}title").text == (title or None)  # type: ignore[union-attr]
    assert len(root.findall(f"{SVG}g")) == len(told)
    for rect in root.findall(f"{SVG}g/{SVG}rect"):
        assert float(rect.get("height", "-1")) >= 0


@given(st.dictionaries(TEXT, st.lists(st.tuples(FIGURE, FIGURE), min_size=1, max_size=8), min_size=1, max_size=3))
def test_lines_are_well_formed_whatever_they_are_called(shown: dict[str, list[tuple[float, float]]]) -> None:
    root = ET.fromstring(lines("t", "minutes", "ms", shown))  # noqa: S314 - our own
    drawn = root.findall(f"{SVG}polyline")
    assert [len((each.get("points") or "").split()) for each in drawn] == list(map(len, shown.values()))


def test_a_higher_figure_has_a_higher_bar_and_both_axes_are_named() -> None:
    text = bars("Rates", "records/s", [Bar("a", 10, 5, 12), Bar("b", 20, 15, 22)])
    root = ET.fromstring(text)  # noqa: S314 - our own
    low, high = (float(rect.get("height", "0")) for rect in root.findall(f"{SVG}g/{SVG}rect"))
    assert high == pytest.approx(2 * low, abs=0.2)
    assert ">records/s<" in text
    assert "<title>a: 10 (5-12) records/s</title>" in text


@pytest.mark.parametrize("empty", [lambda: bars("t", "u", []), lambda: lines("t", "x", "u", {"a": []})])
def test_nothing_is_no_plot(empty: object) -> None:
    with pytest.raises(ValueError, match="nothing"):
        empty()  # type: ignore[operator]


def test_a_history_is_plotted_by_kind_with_the_latest_figures_of_each_cell() -> None:
    def line(value: float, commit: str) -> dict[str, object]:
        run = {"value": value, "unit": "records/s", "ratio": 0.5}
        (told,) = as_lines([Result(Cell("topics-10"), {0: run})])
        return {"commit": commit, **told}

    soak = {"soak": {"memory_mb": [[0, 10, 8], [1, 11, 9], [2, 11, 9]], "p99_ms": [[0, 5]]}}
    failed = as_lines([Result(Cell("topics-300"), failures={0: "run 1: a"})])
    found = plots([line(1, "old"), line(2, "new"), *failed, soak])
    assert set(found) == {"route.svg", "route-ratio.svg", "soak-0-memory.svg", "soak-0-p99.svg"}
    assert "(new)" in found["route.svg"]
    assert "topics-10: 2 (2-2) records/s" in found["route.svg"]
