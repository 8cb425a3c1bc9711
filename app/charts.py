"""Small line and scatter charts as inline SVG, in the page's own colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 48, 84, 28, 40
LABEL_HEIGHT = 13
LABEL_WIDTH = 64

COLOURS = {"bicubic": 0, "DRN": 1, "DRN+": 2}
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
    for tick in _ticks(x_low, x_high):
        x, _ = place(tick, y_low)
        parts.append(f'<text class="tick" x="{x}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    labels: list[tuple[float, float]] = []
    ends = [place(*points[-1]) for points in known.values()]
    for index, (name, points) in enumerate(known.items(), 1):
        placed = [place(x, y) for x, y in points]
        line = f'<polyline points="{" ".join(f"{x},{y}" for x, y in placed)}"/>' if lines else ""
        dots = "".join(f'<circle cx="{x}" cy="{y}" r="3.5"/>' for x, y in placed)
        x, y = _free(placed[-1], labels, ends)
        labels.append((x, y))
        label = f'<text class="name" x="{x + 8}" y="{round(y + 4, 1)}">{escape(name)}</text>'
        colour = COLOURS.get(name, index if lines else 0)
        parts.append(f'<g class="series s{colour}">{line}{dots}{label}</g>')
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text class="title" x="{LEFT}" y="16">{escape(title)}</text>{"".join(parts)}'
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(x_title)}</text>'
        f'<text class="tick" x="{LEFT}" y="{HEIGHT - 6}">{escape(y_title)}</text></svg>'
    )


def _free(
    wanted: tuple[float, float], labels: Sequence[tuple[float, float]], ends: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """The place nearest to ``wanted``, straight above or below it, for a label that covers no other and no end."""
    x, y = wanted
    beside = [other for across, other in labels if abs(across - x) < LABEL_WIDTH]
    beside += [other for across, other in ends if 0 < across - x < LABEL_WIDTH]
    heights = [y, *(other + side * LABEL_HEIGHT for other in beside for side in (-1, 1))]
    free = [height for height in heights if all(abs(height - other) > LABEL_HEIGHT - 0.5 for other in beside)]
    return x, min(free, key=lambda height: abs(height - y))


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers (1, 2 or 5 times a power of ten apart) from ``low`` to ``high``."""
    rough = (high - low) / 4
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [round(index * step, 10) for index in range(ceil(low / step), floor(high / step) + 1)]
