"""A small plot of dots, drawn by the style sheet: it is there at once, and its words stay as large as all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1_000, 2_000, 5_000, 10_000)
_MOST_TICKS = 5
_RIGHT = 0.5
"""From this share of the width on a label stands to the left of its dot."""


@dataclass(frozen=True)
class Dot:
    """One dot: `y` from 0 to 1, what is said when it is pointed at, and the label beside it ("": none)."""

    x: float
    y: float
    title: str
    colour: str
    label: str = ""


def scatter_html(dots: Sequence[Dot], x_title: str, y_title: str) -> str:
    """Dots over an axis that begins at 0; those with labels are drawn large, the others small."""
    widest = max((dot.x for dot in dots), default=1.0) or 1.0
    step = next((step for step in _STEPS if widest / step <= _MOST_TICKS), widest)
    most = widest * 1.06
    ticks = [step * n for n in range(int(most / step) + 1)]
    marks = "".join(f"<span class='x' style='left:{100 * tick / most:.1f}%'>{tick:,g}</span>" for tick in ticks)
    marks += "".join(f"<span class='y' style='bottom:{100 * y:.0f}%'>{y:g}</span>" for y in (0.0, 0.5, 1.0))
    marks += "".join(f"<span class='grid' style='bottom:{100 * y:.0f}%'></span>" for y in (0.25, 0.5, 0.75, 1.0))
    drawn = "".join(_dot_html(dot, most) for dot in sorted(dots, key=lambda dot: bool(dot.label)))
    said = escape("; ".join(dot.title for dot in dots))
    return (
        f"<div class='scatter' role='img' aria-label='{escape(y_title)} by {escape(x_title)}: {said}'>"
        f"<div class='y-title'>{escape(y_title)}</div><div class='plane'>{marks}{drawn}</div>"
        f"<div class='x-title'>{escape(x_title)}</div></div>"
    )


def _dot_html(dot: Dot, most: float) -> str:
    share = dot.x / most
    place = f"left:{100 * share:.1f}%;bottom:{100 * min(1.0, max(0.0, dot.y)):.1f}%"
    side = " left" if share > _RIGHT else ""
    label = f"<span class='label{side}'>{escape(dot.label)}</span>" if dot.label else ""
    kind = "point main" if dot.label else "point"
    return (
        f"<span class='{kind}' style='{place}' title='{escape(dot.title)}'>"
        f"<i style='background:{escape(dot.colour)}'></i>{label}</span>"
    )
