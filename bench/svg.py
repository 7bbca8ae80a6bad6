"""Line charts as SVG, readable on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_WIDTH: Final = 760
_HEIGHT: Final = 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 84, 58
_STYLE: Final = """
svg { --page: #ffffff; --text: #1f2328; --faint: #59636e; --grid: #d8dee4;
  --c0: #0969da; --c1: #bc4c00; --c2: #8250df; }
@media (prefers-color-scheme: dark) {
  svg { --page: #0d1117; --text: #f0f6fc; --faint: #9198a1; --grid: #2f353d;
    --c0: #4493f8; --c1: #f0883e; --c2: #ab7df8; } }
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
.title { font-size: 16px; font-weight: 600; }
.line { fill: none; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One line. Those of one `label` have one `colour` (0 to 2); `dashed` tells them apart."""

    label: str
    colour: int
    dashed: bool
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """What one direction means. A logarithmic one shows only what is above 0."""

    title: str
    logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    ticks: Sequence[float]
    logarithmic: bool

    def share(self, value: float) -> float:
        """Where a value stands between the ends: 0 to 1."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def line_chart(
    title: str, x: Axis, y: Axis, series: Sequence[Series], lines: tuple[str, str] | None = None
) -> str:
    """The chart as an SVG document. There must be at least one point.

    `lines` says what solid and dashed ones are.
    """
    points = [point for each in series for point in each.points]
    across = _scale([px for px, _ in points], x.logarithmic)
    up = _scale([py for _, py in points], y.logarithmic)

    def at(px: float, py: float) -> tuple[float, float]:
        return (
            _LEFT + across.share(px) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up.share(py) * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label={quoteattr(title)}>',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="8" fill="var(--page)"/>',
        _text(_LEFT, 30, title, "title", colour="text"),
        *_legend(series, lines),
    ]
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for value in up.ticks:
        _, py = at(across.low, value)
        parts.append(_rule(_LEFT, py, right, py))
        parts.append(_text(_LEFT - 8, py + 4, _short(value), anchor="end"))
    for value in across.ticks:
        px, _ = at(value, up.low)
        parts.append(_rule(px, _TOP, px, bottom))
        parts.append(_text(px, bottom + 20, _short(value), anchor="middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 14, x.title, anchor="middle"))
    middle = (_TOP + bottom) / 2
    turned = f' transform="rotate(-90 20 {middle:.0f})"'
    parts.append(_text(20, middle, y.title, anchor="middle", more=turned))
    for each in series:
        places = [at(px, py) for px, py in each.points]
        parts.append(_line(places, f"c{each.colour}", each.dashed))
        if not each.dashed:
            parts += [
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="var(--c{each.colour})"/>'
                for px, py in places
            ]
    return "\n".join([*parts, "</svg>", ""])


def _legend(series: Sequence[Series], lines: tuple[str, str] | None) -> Iterable[str]:
    entries = [(each.label, f"c{each.colour}", False) for each in series]
    if lines is not None:
        entries += [(lines[0], "faint", False), (lines[1], "faint", True)]
    left = float(_LEFT)
    for label, colour, dashed in dict.fromkeys(entries):
        yield _line([(left, 56), (left + 26, 56)], colour, dashed)
        yield _text(left + 32, 60, label, colour="text")
        left += 32 + 7.4 * len(label) + 22


def _line(places: Sequence[tuple[float, float]], colour: str, dashed: bool) -> str:
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
    dashes = ' stroke-dasharray="6 5"' if dashed else ""
    return f'<polyline class="line" points="{path}" stroke="var(--{colour})"{dashes}/>'


def _rule(left: float, top: float, right: float, bottom: float) -> str:
    ends = f'x1="{left:.1f}" y1="{top:.1f}" x2="{right:.1f}" y2="{bottom:.1f}"'
    return f'<line {ends} stroke="var(--grid)"/>'


def _text(
    px: float,
    py: float,
    text: str,
    kind: str = "",
    *,
    anchor: str = "start",
    colour: str = "faint",
    more: str = "",
) -> str:
    kind = f' class="{kind}"' if kind else ""
    return (
        f'<text x="{px:.1f}" y="{py:.1f}" text-anchor="{anchor}" fill="var(--{colour})"'
        f"{kind}{more}>{escape(text)}</text>"
    )


def _scale(values: Sequence[float], logarithmic: bool) -> _Scale:
    if logarithmic:
        powers = range(math.floor(_tens(min(values))) - 1, math.ceil(_tens(max(values))) + 2)
        marks = [size * 10.0**power for power in powers for size in (1, 2, 5)]
        low = max(mark for mark in marks if mark <= min(values))
        high = min(mark for mark in marks if mark >= max(values) and mark > low)
        within = [mark for mark in marks if low <= mark <= high]
        decades = [mark for mark in within if mark in (low, high) or _tens(mark) % 1 == 0]
        return _Scale(low, high, within if len(within) <= 8 else decades, True)
    step = _step(max(values))
    high = step * math.ceil(max(values) / step)
    return _Scale(0.0, high, [step * at for at in range(round(high / step) + 1)], False)


def _tens(value: float) -> float:
    return round(math.log10(value), 9)


def _step(high: float) -> float:
    """A round distance between ticks: about five of them."""
    power = 10.0 ** math.floor(math.log10(high / 5))
    return next(size * power for size in (1, 2, 5, 10) if size * power >= high / 5)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"
