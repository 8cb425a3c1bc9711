"""Small line and scatter charts as inline SVG, in the page's own colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

from drn.evaluation.methods import BICUBIC, DRN, DRN_PLUS

WIDTH, HEIGHT = 460, 262
LEFT, RIGHT, TOP, BOTTOM = 48, 84, 46, 34
LABEL_HEIGHT = 13
LABEL_WIDTH = 64

COLOURS = {BICUBIC: 0, DRN: 1, DRN_PLUS: 2}
"""Of what the page always shows; other points are as quiet as bicubic, other lines take the next colours."""

Points = Sequence[tuple[float, float]]


def chart(title: str, x_title: str, y_title: str, series: Mapping[str, Points], lines: bool = True) -> str:
    """Draw series of (x, y) points; each is labelled at its last point. Empty series are left out.

    Args:
        lines: Join the points of a series; False draws the points alone.
    """
    known = {name: points for name, points in series.items() if points}
    if not known:
        return ""
    xs = [x for points in known.values() for x, _ in points]
    ys = [y for points in known.values() for _, y in points]
    (x_low, x_high), (y_low, y_high) = _padded(xs), _padded(ys)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        up = (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    parts = []
    for tick in _ticks(y_low, y_high):
        _, y = place(x_low, tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in _ticks(x_low, x_high, whole=all(float(x).is_integer() for x in xs)):
        x, _ = place(tick, y_low)
        parts.append(f'<text class="tick" x="{x}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    ends = {name: place(*points[-1]) for name, points in known.items()}
    labels: dict[str, tuple[float, float]] = {}
    for name in sorted(known, key=lambda name: ends[name][1]):  # those that make room for each other keep their order
        labels[name] = _free(ends[name], list(labels.values()), list(ends.values()))
    for index, (name, points) in enumerate(known.items(), 1):
        placed = [place(x, y) for x, y in points]
        line = f'<polyline points="{" ".join(f"{x},{y}" for x, y in placed)}"/>' if lines else ""
        dots = "".join(f'<circle cx="{x}" cy="{y}" r="3.5"/>' for x, y in placed)
        (end_x, end_y), (x, y) = placed[-1], labels[name]
        label = f'<text class="name" x="{x + 12}" y="{round(y + 4, 1)}">{escape(name)}</text>'
        leader = f'<line x1="{end_x}" y1="{end_y}" x2="{x + 10}" y2="{y}"/>'
        colour = COLOURS.get(name, index if lines else 0)
        parts.append(f'<g class="series s{colour}">{line}{leader}{dots}{label}</g>')
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>{"".join(parts)}'
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(x_title)}</text>'
        f'<text class="tick" x="{LEFT - 6}" y="{TOP - 10}">{escape(y_title)}</text></svg>'
    )


def _free(
    wanted: tuple[float, float], labels: Sequence[tuple[float, float]], ends: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """The place nearest to ``wanted``, right above or below, that covers no label and no end, below ``labels``."""
    x, y = wanted
    above = [other for across, other in labels if abs(across - x) < LABEL_WIDTH]
    beside = above + [other for across, other in ends if 0 < across - x < LABEL_WIDTH]
    heights = [y, *(other + side * LABEL_HEIGHT for other in beside for side in (-1, 1))]
    free = [
        height
        for height in heights
        if all(abs(height - other) > LABEL_HEIGHT - 0.5 for other in beside) and height > max(above, default=-1)
    ]
    return x, min(free, key=lambda height: abs(height - y))


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Three to eight round numbers, 1, 2 or 5 times a power of ten apart; fewer where none but ``whole`` ones count."""
    widest = (high - low) / 3
    power = 10.0 ** floor(log10(widest))
    step = next(factor * power for factor in (5, 2, 1) if factor * power <= widest)
    if whole:
        step = max(step, 1.0)
    return [round(index * step, 10) for index in range(ceil(low / step), floor(high / step) + 1)]
