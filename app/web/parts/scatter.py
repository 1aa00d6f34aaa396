"""A small plot of dots, drawn by the style sheet: it is there at once, and its words stay as large as all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from app.usecases.evaluation.charts import Box, place_boxes

_STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1_000, 2_000, 5_000, 10_000)
_MOST_TICKS = 5
_PLANES = {"wide": (252.0, 189.0), "narrow": (286.0, 119.0)}
"""Px of the plane on usual screens and on narrow ones, which labels are placed for."""
_CHARACTER = 7.0


@dataclass(frozen=True)
class ScatterDot:
    """One dot: `y` from 0 to 1, what is said when it is pointed at, and the label beside it ("": none)."""

    x: float
    y: float
    title: str
    colour: str
    label: str = ""


def scatter_html(dots: Sequence[ScatterDot], x_title: str, y_title: str) -> str:
    """Dots over an axis that begins at 0; those with labels are drawn large, the others small."""
    widest = max((dot.x for dot in dots), default=1.0) or 1.0
    step = next((step for step in _STEPS if widest / step <= _MOST_TICKS), widest)
    most = widest * 1.06
    ticks = [step * n for n in range(int(most / step) + 1)]
    marks = "".join(f"<span class='x' style='left:{100 * tick / most:.1f}%'>{tick:,g}</span>" for tick in ticks)
    marks += "".join(f"<span class='y' style='bottom:{100 * y:.0f}%'>{y:g}</span>" for y in (0.0, 0.5, 1.0))
    marks += "".join(f"<span class='grid' style='bottom:{100 * y:.0f}%'></span>" for y in (0.25, 0.5, 0.75, 1.0))
    placed = {kind: place_labels(dots, most, size) for kind, size in _PLANES.items()}
    order = sorted(range(len(dots)), key=lambda n: bool(dots[n].label))
    drawn = "".join(_dot_html(dots[n], most, {kind: at.get(n) for kind, at in placed.items()}) for n in order)
    said = escape("; ".join(dot.title for dot in dots))
    return (
        f"<div class='scatter' role='img' aria-label='{escape(y_title)} by {escape(x_title)}: {said}'>"
        f"<div class='y-title'>{escape(y_title)}</div><div class='plane'>{marks}{drawn}</div>"
        f"<div class='x-title'>{escape(x_title)}</div></div>"
    )


def place_labels(dots: Sequence[ScatterDot], most: float, size: tuple[float, float]) -> dict[int, Box]:
    """Where labels stand on a plane of a size in px, by the places of their dots: on no dot and no other label."""
    wide, high = size
    spots = [(wide * dot.x / most, high * (1 - min(1.0, max(0.0, dot.y)))) for dot in dots]
    sizes = [9 if dot.label else 5 for dot in dots]
    marks = [Box(x - half, y - half, x + half, y + half) for (x, y), half in zip(spots, sizes, strict=True)]
    widths = {n: _CHARACTER * len(dot.label) for n, dot in enumerate(dots) if dot.label}
    boxes = place_boxes(spots, marks, widths, Box(2, -8, wide, high - 1))
    return {
        n: Box(b.left - spots[n][0], b.top - spots[n][1], b.right - spots[n][0], b.bottom - spots[n][1])
        for n, b in boxes.items()
    }


def _dot_html(dot: ScatterDot, most: float, boxes: Mapping[str, Box | None]) -> str:
    """A dot with its label, which stands at these boxes, measured from the dot, on screens of these kinds."""
    place = f"left:{100 * dot.x / most:.1f}%;bottom:{100 * min(1.0, max(0.0, dot.y)):.1f}%"
    label = "".join(
        f"<span class='label {kind}' style='left:{box.left:.0f}px;top:{box.top:.0f}px'>{escape(dot.label)}</span>"
        for kind, box in boxes.items()
        if box
    )
    kind = "point main" if dot.label else "point"
    return (
        f"<span class='{kind}' style='{place}' title='{escape(dot.title)}'>"
        f"<i style='background:{escape(dot.colour)}'></i>{label}</span>"
    )
