"""Small scatter charts as inline SVG, in the colours of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from drn.evaluation.methods import BICUBIC, DRN, DRN_PLUS

WIDTH, HEIGHT = 360, 270
LEFT, RIGHT, TOP, BOTTOM = 44, 66, 46, 40
LABEL_HEIGHT = 13
LABEL_WIDTH = 58

COLOURS = {BICUBIC: 0, DRN: 1, DRN_PLUS: 2}
"""Colour numbers of our own methods. Other methods have 0, the pale colour."""

Points = Sequence[tuple[float, float]]


def chart(title: str, x_title: str, y_title: str, series: Mapping[str, Points]) -> str:
    """Draw series of points, each labelled at its last point.

    Args:
        title: Title of the chart.
        x_title: Title of the x axis.
        y_title: Title of the y axis.
        series: Points (x, y) by name; a series without points is left out.

    Returns:
        An ``<svg>`` element; empty if there are no points.
    """
    known = {name: points for name, points in series.items() if points}
    if not known:
        return ""
    axes = _Axes.around([point for points in known.values() for point in points])
    ends = {name: axes.place(*points[-1]) for name, points in known.items()}
    labels = _place_labels(ends)
    parts = [axes.grid()]
    for name, points in known.items():
        placed = [axes.place(x, y) for x, y in points]
        dots = "".join(
            f'<circle cx="{at_x}" cy="{at_y}" r="4"><title>{escape(name)}: {x:g}, {y:.2f}</title></circle>'
            for (at_x, at_y), (x, y) in zip(placed, points, strict=True)
        )
        (end_x, end_y), (x, y) = ends[name], labels[name]
        label = f'<text class="name" x="{x + 12}" y="{round(y + 4, 1)}">{escape(name)}</text>'
        leader = f'<line x1="{end_x}" y1="{end_y}" x2="{x + 10}" y2="{y}"/>'
        parts.append(f'<g class="series s{COLOURS.get(name, 0)}">{leader}{dots}{label}</g>')
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>{"".join(parts)}'
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(x_title)}</text>'
        f'<text class="tick" x="{LEFT - 6}" y="{TOP - 10}">{escape(y_title)}</text></svg>'
    )


@dataclass(frozen=True)
class _Axes:
    """The ranges of values that a chart shows.

    Attributes:
        x: Lowest and highest x.
        y: Lowest and highest y.
    """

    x: tuple[float, float]
    y: tuple[float, float]

    @classmethod
    def around(cls, points: Points) -> _Axes:
        """Choose ranges that hold all points with a margin."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return cls(_padded(xs), _padded(ys))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point to SVG coordinates."""
        (x_low, x_high), (y_low, y_high) = self.x, self.y
        across = (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        up = (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    def grid(self) -> str:
        """Draw the horizontal lines and the numbers at both axes."""
        parts = []
        for tick in _ticks(*self.y):
            _, y = self.place(self.x[0], tick)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
        for tick in _ticks(*self.x):
            x, _ = self.place(tick, self.y[0])
            parts.append(f'<text class="tick" x="{x}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
        return "".join(parts)


def _place_labels(ends: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Place a label beside the last point of each series, so that labels cover neither points nor each other."""
    labels: dict[str, tuple[float, float]] = {}
    for name in sorted(ends, key=lambda name: ends[name][1]):  # from top to bottom, so that the labels keep this order
        labels[name] = _free_place(ends[name], list(labels.values()), list(ends.values()))
    return labels


def _free_place(
    wanted: tuple[float, float], labels: Sequence[tuple[float, float]], ends: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Find the place nearest to ``wanted`` that covers no label and no last point.

    The place is directly above or below ``wanted``, and below all labels that are already placed.
    """
    x, y = wanted
    above = [label_y for label_x, label_y in labels if abs(label_x - x) < LABEL_WIDTH]
    beside = above + [end_y for end_x, end_y in ends if 0 < end_x - x < LABEL_WIDTH]
    heights = [y, *(other + side * LABEL_HEIGHT for other in beside for side in (-1, 1))]
    free = [
        height
        for height in heights
        if all(abs(height - other) > LABEL_HEIGHT - 0.5 for other in beside) and height > max(above, default=-1)
    ]
    return x, min(free, key=lambda height: abs(height - y))


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """Return the range of ``values`` with a margin of 8 % on each side; 1 if all values are equal."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Choose the tick values of an axis: three to eight round numbers.

    Their distance is 1, 2 or 5 times a power of ten.

    Args:
        low: Start of the range.
        high: End of the range.
    """
    widest = (high - low) / 3
    power = 10.0 ** floor(log10(widest))
    step = next(factor * power for factor in (5, 2, 1) if factor * power <= widest)
    return [round(index * step, 10) for index in range(ceil(low / step), floor(high / step) + 1)]
