"""Plots of kept measurements as SVG, written by ourselves: bars with their spread, and lines.

Each is well-formed XML with a title that screen readers tell, named axes with units, and no script. Texts are escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 720, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 44, 96
_TICKS = 5
_COLOURS = ("#1f5fa8", "#c4561b", "#2f7d4f", "#7a4a9e")
_ROUND = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure: its height, and how far it went from run to run."""

    label: str
    value: float
    least: float
    most: float


def bars(title: str, unit: str, shown: Sequence[Bar]) -> str:
    """A bar per figure, from zero, each with a line from its least to its most; raises `ValueError` where there is none."""
    if not shown:
        raise ValueError("nothing to plot")
    scale = _Scale.up_to(max(bar.most for bar in shown))
    step = (_WIDTH - _LEFT - _RIGHT) / len(shown)
    drawn = (
        _bar(bar, unit, scale, _LEFT + step * (index + 0.5), min(step * 0.6, 60)) for index, bar in enumerate(shown)
    )
    return _framed(title, unit, scale, list(drawn))


def _bar(bar: Bar, unit: str, scale: "_Scale", middle: float, wide: float) -> str:
    top, low, high = scale.y(bar.value), scale.y(bar.least), scale.y(bar.most)
    told = escape(f"{bar.label}: {bar.value:g} ({bar.least:g}-{bar.most:g}) {unit}")
    whiskers = f"M{middle:.1f} {low:.1f}V{high:.1f}M{middle - 5:.1f} {low:.1f}h10M{middle - 5:.1f} {high:.1f}h10"
    left, under = middle - wide / 2, _floor() + 14
    parts = (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{_floor() - top:.1f}" fill="{_COLOURS[0]}"/>',
        f'<path d="{whiskers}" stroke="#111"/>',
        f'<text x="{middle:.1f}" y="{under}" text-anchor="end" transform="rotate(-30 {middle:.1f} {under})">{escape(bar.label)}</text>',
        f'<text x="{middle:.1f}" y="{min(top, high) - 5:.1f}" text-anchor="middle">{bar.value:g}</text>',
    )
    return f"<g><title>{told}</title>{''.join(parts)}</g>"


def lines(title: str, across: str, unit: str, shown: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """A line per name through its (x, y), with the names beside; raises `ValueError` where there is no point."""
    points = [point for series in shown.values() for point in series]
    if not points:
        raise ValueError("nothing to plot")
    scale = _Scale.up_to(max(y for _, y in points))
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    width = (_WIDTH - _LEFT - _RIGHT) / ((last - first) or 1)
    parts = []
    for index, (name, series) in enumerate(shown.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(f"{_LEFT + (x - first) * width:.1f},{scale.y(y):.1f}" for x, y in series)
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
            f'<text x="{_WIDTH - _RIGHT}" y="{_TOP + 14 * index}" text-anchor="end" fill="{colour}">{escape(name)}</text>',
        ]
    for x, anchor in ((first, "start"), (last, "end")):
        parts.append(
            f'<text x="{_LEFT + (x - first) * width:.1f}" y="{_floor() + 16}" text-anchor="{anchor}">{x:g}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_floor() + 34}" text-anchor="middle">{escape(across)}</text>')
    return _framed(title, unit, scale, parts)


@dataclass(frozen=True, slots=True)
class _Scale:
    """The vertical axis, from zero to a round number."""

    top: float

    @classmethod
    def up_to(cls, most: float) -> "_Scale":
        if most <= 0:
            return cls(1.0)
        power = 10.0 ** (len(f"{most:.0f}") - 1) if most >= 1 else 10.0 ** -(len(f"{1 / most:.0f}"))
        return cls(next((factor * power for factor in _ROUND if factor * power >= most), 10 * power))

    def y(self, value: float) -> float:
        return _floor() - (_floor() - _TOP) * value / self.top


def _floor() -> int:
    return _HEIGHT - _BOTTOM


def _framed(title: str, unit: str, scale: _Scale, parts: Sequence[str]) -> str:
    axis = []
    for number in range(_TICKS + 1):
        value = scale.top * number / _TICKS
        y = scale.y(value)
        axis += [
            f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>',
        ]
    middle = (_TOP + _floor()) / 2
    axis.append(
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">{escape(unit)}</text>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="title" font-family="sans-serif" font-size="11">',
            f'<title id="title">{escape(title)}</title>',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
            f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>',
            *axis,
            *parts,
            f'<path d="M{_LEFT} {_TOP}V{_floor()}H{_WIDTH - _RIGHT}" fill="none" stroke="#111"/>',
            "</svg>\n",
        ]
    )
