"""Charts as inline SVG, for pages and for files that are read offline: no script, colours by the style around them.

Every dot carries its name; names are placed where they cover neither dots nor each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Literal, NamedTuple

Shape = Literal["circle", "square", "diamond", "cross"]
_CHARACTER, _LINE = 6.6, 14.0
"""Size of a character at 12 px, a little wide."""
_REACH = (9.0, 16.0, 26.0, 38.0, 52.0, 70.0, 92.0, 120.0)
_TURNS = ((1, 0), (-1, 0), (0.9, -0.7), (0.9, 0.7), (-0.9, -0.7), (-0.9, 0.7), (0, -1), (0, 1))
_NARROW = 500
"""Below this width a chart is for a narrow screen, and is hidden on others."""
TOKENS_AXIS = "mean output tokens, log scale"
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 12.0, 44.0


@dataclass(frozen=True)
class Dot:
    """A system: its score with an interval, and its mean output tokens. `strong`: it is the one that is picked."""

    name: str
    tokens: float
    score: float
    low: float
    high: float
    colour: str
    shape: Shape = "circle"
    strong: bool = False


class Box(NamedTuple):
    """A rectangle in px."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two have a point in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


@dataclass(frozen=True)
class Field:
    """The area of a plot in px, and the ranges of its axes; tokens stand on a logarithmic axis."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, tokens: float, score: float) -> tuple[float, float]:
        """Where a value lies."""
        low, high = (math.log10(end) for end in self.x)
        share = (math.log10(max(tokens, self.x[0])) - low) / (high - low)
        rise = (score - self.y[0]) / (self.y[1] - self.y[0])
        return (
            _LEFT + share * (self.width - _LEFT - _RIGHT),
            self.height - _BOTTOM - rise * (self.height - _TOP - _BOTTOM),
        )


def tradeoff_svg(
    dots: Sequence[Dot],
    measure: str,
    width: float = 860,
    height: float = 380,
    line: Sequence[tuple[float, float]] = (),
    axis: str = TOKENS_AXIS,
) -> str:
    """Score against mean output tokens, each dot with its interval and its name; up and to the left is better.

    `line` joins further points (tokens, score); `axis` says what the dots' tokens are, where they are something else.
    """
    if not dots:
        return ""
    field = Field(
        width, height, _span_tokens([*(dot.tokens for dot in dots), *(x for x, _ in line)]), _span_scores(dots)
    )
    said = f"{measure} against {axis}, a dot a system; up and to the left is better"
    below = sorted(dots, key=lambda dot: not dot.strong)  # the pick is the largest: what lies on it stays to be seen
    marks = "".join(_dot_svg(dot, field) for dot in below)
    names = "".join(_name_svg(dot, box, field) for dot, box in zip(dots, place_names(dots, field, line), strict=True))
    kind = "narrow" if width < _NARROW else "wide"
    return (
        f"<svg class='chart {kind}' viewBox='0 0 {width:g} {height:g}' width='{width:g}' role='img' "
        f"aria-label='{escape(said)}'>{_axes_svg(field, measure, axis)}{_line_svg(line, field)}{marks}{names}</svg>"
    )


def place_names(dots: Sequence[Dot], field: Field, line: Sequence[tuple[float, float]] = ()) -> list[Box]:
    """Where the names of dots stand: on no dot and no other name, and on as little of intervals and line as can be."""
    spots = [field.at(dot.tokens, dot.score) for dot in dots]
    sizes = [13 if dot.strong else 7 for dot in dots]
    marks = [Box(x - size, y - size, x + size, y + size) for (x, y), size in zip(spots, sizes, strict=True)]
    bars = [
        Box(x - 2, field.at(dot.tokens, dot.high)[1], x + 2, field.at(dot.tokens, dot.low)[1])
        for dot, (x, _) in zip(dots, spots, strict=True)
    ]
    bars += [Box(x - 2, y - 2, x + 2, y + 2) for x, y in _dot_line(line, field)]
    inside = Box(_LEFT, 2, field.width - 2, field.height - _BOTTOM + 2)
    order = sorted(range(len(dots)), key=lambda n: (not dots[n].strong, spots[n][0], spots[n][1]))
    taken = place_boxes(spots, marks, {n: len(dots[n].name) * _CHARACTER for n in order}, inside, bars)
    return [taken[place] for place in range(len(dots))]


def place_boxes(
    spots: Sequence[tuple[float, float]],
    marks: Sequence[Box],
    widths: Mapping[int, float],
    inside: Box,
    bars: Sequence[Box] = (),
) -> dict[int, Box]:
    """Where texts of these `widths`, by the place of their spot and in order, stand: near it, on no mark or other text.

    Such as would stand on one of the `bars` goes farther, where that is free.
    """
    taken: dict[int, Box] = {}
    for place, width in widths.items():
        best: tuple[float, Box] | None = None
        for far, box in _candidates(spots[place], width):
            if box.left < inside.left or box.right > inside.right or box.top < inside.top or box.bottom > inside.bottom:
                continue
            if any(box.meets(other) for other in (*marks, *taken.values())):
                continue
            cost = far + 30 * sum(box.meets(bar) for bar in bars)
            if best is None or cost < best[0]:
                best = cost, box
        x, y = spots[place]
        taken[place] = best[1] if best else Box(x + 9, y - 7, x + 9 + width, y + 7)
    return taken


def _candidates(spot: tuple[float, float], wide: float) -> Iterator[tuple[float, Box]]:
    """Places for a name around a spot, with how far away each is."""
    x, y = spot
    for far in _REACH:
        for across, up in _TURNS:
            left = x + far * across if across > 0 else x - far * -across - wide if across < 0 else x - wide / 2
            top = y + far * up - _LINE / 2
            yield far, Box(left, top, left + wide, top + _LINE)


def _span_tokens(amounts: Sequence[float]) -> tuple[float, float]:
    known = [amount for amount in amounts if amount > 0] or [1.0]
    return min(known) / 1.6, max(known) * 1.6


def _dot_line(line: Sequence[tuple[float, float]], field: Field) -> Iterator[tuple[float, float]]:
    """Places along a line, a few px from each other."""
    places = [field.at(*point) for point in line]
    for (left, top), (right, foot) in pairwise(places):
        steps = max(1, int(math.hypot(right - left, foot - top) / 6))
        yield from ((left + (right - left) * n / steps, top + (foot - top) * n / steps) for n in range(steps + 1))


def _line_svg(line: Sequence[tuple[float, float]], field: Field) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (field.at(*point) for point in line))
    return f"<polyline class='line' points='{points}'/>" if points else ""


def _span_scores(dots: Sequence[Dot]) -> tuple[float, float]:
    low = math.floor(10 * min(dot.low for dot in dots) + 1e-9) / 10
    high = math.ceil(10 * max(dot.high for dot in dots) - 1e-9) / 10
    return max(0.0, low), max(low + 0.1, min(1.0, high))


def _axes_svg(field: Field, measure: str, axis: str) -> str:
    foot, parts = field.height - _BOTTOM, []
    step = 0.1 if field.y[1] - field.y[0] < 0.55 else 0.2
    for n in range(round(field.y[0] / 0.1), round(field.y[1] / 0.1) + 1):
        if round(n / 10 / step, 6) % 1:
            continue
        y = field.at(field.x[0], n / 10)[1]
        parts.append(f"<path class='grid' d='M{_LEFT:g} {y:.1f}H{field.width - _RIGHT:g}'/>")
        parts.append(f"<text x='{_LEFT - 8:g}' y='{y + 4:.1f}' text-anchor='end'>{n / 10:.1f}</text>")
    for power in range(-6, 5):
        for digit in (1, 2, 5):
            value = digit * 10.0**power
            if field.x[0] <= value <= field.x[1]:
                x = field.at(value, field.y[0])[0]
                parts.append(f"<path class='grid' d='M{x:.1f} {_TOP:g}V{foot:g}'/>")
                parts.append(f"<text x='{x:.1f}' y='{foot + 16:g}' text-anchor='middle'>{value:,g}</text>")
    middle = (_LEFT + field.width - _RIGHT) / 2
    parts.append(f"<text x='{middle:g}' y='{field.height - 8:g}' text-anchor='middle'>{escape(axis)}</text>")
    turned = f"x='12' y='{(_TOP + foot) / 2:g}' transform='rotate(-90 12 {(_TOP + foot) / 2:g})'"
    return "".join(parts) + f"<text {turned} text-anchor='middle'>{escape(measure)}</text>"


def _dot_svg(dot: Dot, field: Field) -> str:
    x, y = field.at(dot.tokens, dot.score)
    top, foot = field.at(dot.tokens, dot.high)[1], field.at(dot.tokens, dot.low)[1]
    label = escape(
        f"{dot.name}: {dot.score:.2f} (95% interval {dot.low:.2f}-{dot.high:.2f}) with {dot.tokens:.1f} tokens"
    )
    colour, size = escape(dot.colour, quote=True), 7.0 if dot.strong else 5.0
    ring = f"<circle class='ring' cx='{x:.1f}' cy='{y:.1f}' r='11'/>" if dot.strong else ""
    return (
        f"<g><title>{label}</title><path stroke='{colour}' stroke-width='1.2' opacity='.6' "
        f"d='M{x:.1f} {top:.1f}V{foot:.1f}M{x - 3:.1f} {top:.1f}h6M{x - 3:.1f} {foot:.1f}h6'/>"
        f"{ring}{_shape_svg(dot.shape, x, y, size, colour)}</g>"
    )


def _shape_svg(shape: Shape, x: float, y: float, size: float, colour: str) -> str:
    if shape == "circle":
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{size:g}' fill='{colour}'/>"
    if shape == "square":
        return (
            f"<rect x='{x - size:.1f}' y='{y - size:.1f}' width='{2 * size:g}' height='{2 * size:g}' fill='{colour}'/>"
        )
    if shape == "diamond":
        half = size + 1
        d = f"M{x:.1f} {y - half:.1f}l{half:g} {half:g}l{-half:g} {half:g}l{-half:g} {-half:g}z"
        return f"<path d='{d}' fill='{colour}'/>"
    d = f"M{x - size:.1f} {y - size:.1f}l{2 * size:g} {2 * size:g}m0 {-2 * size:g}l{-2 * size:g} {2 * size:g}"
    return f"<path d='{d}' stroke='{colour}' stroke-width='2.4' fill='none'/>"


def _name_svg(dot: Dot, box: Box, field: Field) -> str:
    """A name at its place, with a line to its dot where it stands apart."""
    x, y = field.at(dot.tokens, dot.score)
    near_x, near_y = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
    apart = math.hypot(near_x - x, near_y - y) > 20
    line = f"<path class='leader' d='M{x:.1f} {y:.1f}L{near_x:.1f} {near_y:.1f}'/>" if apart else ""
    anchor = "end" if box.right <= x else "start" if box.left >= x else "middle"
    at = {"end": box.right, "start": box.left, "middle": (box.left + box.right) / 2}[anchor]
    kind = " class='strong'" if dot.strong else ""
    said = f"x='{at:.1f}' y='{box.bottom - 3:.1f}' text-anchor='{anchor}'"
    return f"{line}<text{kind} {said}>{escape(dot.name)}</text>"


@dataclass(frozen=True)
class Bar:
    """A number with its interval, in a row with others."""

    name: str
    value: float
    low: float
    high: float


def intervals_svg(bars: Sequence[Bar], title: str, width: float = 860) -> str:
    """Numbers with their intervals, one below the other, on one axis."""
    if not bars:
        return ""
    side = min(0.45 * width, 16 + _CHARACTER * max(len(bar.name) for bar in bars))
    low, high = min(bar.low for bar in bars), max(bar.high for bar in bars)
    begin, end = math.floor(10 * low + 1e-9) / 10, math.ceil(10 * high - 1e-9) / 10
    end = max(end, begin + 0.1)
    height, foot = 48 + 28 * len(bars), 28 * len(bars) + 8

    def at(value: float) -> float:
        return side + (value - begin) / (end - begin) * (width - side - 64)

    parts = []
    for n in range(round(10 * begin), round(10 * end) + 1):
        parts.append(f"<path class='grid' d='M{at(n / 10):.1f} 4V{foot}'/>")
        parts.append(f"<text x='{at(n / 10):.1f}' y='{foot + 16}' text-anchor='middle'>{n / 10:.1f}</text>")
    for place, bar in enumerate(bars):
        y = 20 + 28 * place
        label = escape(f"{bar.name}: {bar.value:.3f}, 95% interval {bar.low:.3f} to {bar.high:.3f}")
        parts.append(
            f"<g><title>{label}</title><text x='{side - 10:g}' y='{y + 4}' text-anchor='end'>{escape(bar.name)}</text>"
            f"<path class='range' d='M{at(bar.low):.1f} {y}H{at(bar.high):.1f}'/>"
            f"<circle class='point' cx='{at(bar.value):.1f}' cy='{y}' r='5'/>"
            f"<text x='{width - 4:g}' y='{y + 4}' text-anchor='end'>{bar.value:.3f}</text></g>"
        )
    parts.append(f"<text x='{(side + width) / 2:g}' y='{foot + 34}' text-anchor='middle'>{escape(title)}</text>")
    return (
        f"<svg class='chart' viewBox='0 0 {width:g} {height}' width='{width:g}' role='img' "
        f"aria-label='{escape(title)}'>{''.join(parts)}</svg>"
    )
