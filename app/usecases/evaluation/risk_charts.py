"""Risk and coverage, the same on the page and in the written report: a small plot, and the figures beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from app.palette import stage_colour
from engine.evaluation.measures.confidence import show_with_interval
from engine.evaluation.risk_coverage import FIRST_SHARE, RiskCoverage
from engine.plans.titles import title_of
from engine.values.report import Value

NONE_KEPT = (
    "No log-probs are stored with the answers of this run, so nothing is known of its students' confidence. Answers "
    "that are written anew have them: rerun from a step that scores on the page Train."
)
"""What is said in the place of the curves."""
MEANING = (
    "Answers sorted by the student's own confidence, the surest first: how many of the answered ones are wrong as more "
    "are answered. A curve that rises from the left tells that it knows when it is wrong: what it is least sure of can "
    "be passed on."
)
_LEFT, _TOP, _BOTTOM, _GAP = 64.0, 12.0, 44.0, 15.0
_CHARACTER = 6.6
_NARROW, _SHORT = 500, 16
_STEPS = (0.05, 0.1, 0.2, 0.25)


def risk_svg(
    curves: Sequence[RiskCoverage], colours: Mapping[str, str], width: float = 940, height: float = 320
) -> str:
    """The share of wrong answers against the share that is answered, a line a student with its name at its end."""
    if not curves:
        return ""
    narrow = width < _NARROW
    titles = [title_of(curve.system) for curve in curves]
    names = list(map(_shorten, titles)) if narrow else titles
    right = 14 + _CHARACTER * max(map(len, names))
    top = max(0.1, max(max(curve.risk) for curve in curves))
    step = next((step for step in _STEPS if top / step <= 5), 0.25)
    top = min(1.0, step * -(-round(top / step, 6) // 1))
    foot, wide = height - _BOTTOM, width - _LEFT - right

    def at(coverage: float, risk: float) -> tuple[float, float]:
        return _LEFT + coverage * wide, foot - risk / top * (foot - _TOP)

    lines = "".join(
        _line_svg(
            curve,
            [at(*point) for point in zip(curve.coverage, curve.risk, strict=True)],
            colours.get(curve.system) or stage_colour(curve.system),
        )
        for curve in curves
    )
    ends = [at(1.0, curve.risk[-1]) for curve in curves]
    shown = _names_svg(names, [colours.get(curve.system) or stage_colour(curve.system) for curve in curves], ends, foot)
    kind = "narrow" if narrow else "wide"
    said = "share of wrong answers against the share answered, the surest first, a line a student; lower is better"
    return (
        f"<svg class='chart {kind}' viewBox='0 0 {width:g} {height:g}' width='{width:g}' role='img' "
        f"aria-label='{said}'>{_axes_svg(at, step, top, (width - right, foot))}{lines}{shown}</svg>"
    )


def _axes_svg(
    at: Callable[[float, float], tuple[float, float]], step: float, top: float, corner: tuple[float, float]
) -> str:
    end, foot = corner
    parts = []
    for n in range(round(top / step) + 1):
        y = at(0, n * step)[1]
        parts.append(f"<path class='grid' d='M{_LEFT:g} {y:.1f}H{end:.1f}'/>")
        parts.append(f"<text x='{_LEFT - 8:g}' y='{y + 4:.1f}' text-anchor='end'>{n * step:.0%}</text>")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0) if end - _LEFT > 300 else (0.0, 0.5, 1.0):
        x = at(share, 0)[0]
        parts.append(f"<text x='{x:.1f}' y='{foot + 16:g}' text-anchor='middle'>{share:.0%}</text>")
    middle = (_LEFT + end) / 2
    parts.append(f"<text x='{middle:.1f}' y='{foot + 36:g}' text-anchor='middle'>answered, surest first</text>")
    turned = f"x='12' y='{(_TOP + foot) / 2:g}' transform='rotate(-90 12 {(_TOP + foot) / 2:g})'"
    return "".join(parts) + f"<text {turned} text-anchor='middle'>wrong among them</text>"


def _line_svg(curve: RiskCoverage, points: Sequence[tuple[float, float]], colour: str) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    label = escape(f"{title_of(curve.system)}: {curve.risk[-1]:.0%} wrong of all answers, AURC {curve.aurc.value:.2f}")
    drawn = f"d='M{path}' fill='none' stroke='{escape(colour, quote=True)}' stroke-width='2'"
    return f"<g><title>{label}</title><path {drawn}/></g>"


def _shorten(name: str) -> str:
    """A name as there is room for on a narrow screen."""
    return name if len(name) <= _SHORT else f"{name[: _SHORT - 1]}\u2026"


def _names_svg(names: Sequence[str], colours: Sequence[str], ends: Sequence[tuple[float, float]], foot: float) -> str:
    """Each name beside the end of its line, moved up or down until none covers another."""
    order = sorted(range(len(names)), key=lambda place: ends[place][1])
    heights: list[float] = []
    for place in order:
        heights.append(max(ends[place][1], heights[-1] + _GAP if heights else _TOP))
    for back in range(len(heights) - 1, -1, -1):
        most = foot if back == len(heights) - 1 else heights[back + 1] - _GAP
        heights[back] = min(heights[back], most)
    parts = []
    for place, y in zip(order, heights, strict=True):
        x, end = ends[place]
        colour = escape(colours[place], quote=True)
        parts.append(f"<path d='M{x:.1f} {end:.1f}L{x + 7:.1f} {y:.1f}' stroke='{colour}' fill='none' opacity='.6'/>")
        parts.append(f"<text x='{x + 10:.1f}' y='{y + 4:.1f}'>{escape(names[place])}</text>")
    return "".join(parts)


def risk_plot_html(curves: Sequence[RiskCoverage], colours: Mapping[str, str]) -> str:
    """The plot in the colours of its systems, drawn once for wide and once for narrow screens."""
    if not curves:
        return ""
    return f"<div class='card figure'>{risk_svg(curves, colours)}{risk_svg(curves, colours, 340, 280)}</div>"


def risk_rows(curves: Sequence[RiskCoverage]) -> list[dict[str, str]]:
    """The figures of each student, with 95% intervals."""
    return [
        {
            "System": title_of(curve.system),
            "AUROC": _say(curve.auroc),
            "AURC": _say(curve.aurc),
            "Calibration error": _say(curve.calibration),
            "Answers": f"{curve.aurc.n:,}"
            if curve.aurc.n == curve.answers
            else f"{curve.aurc.n:,} of {curve.answers:,}",
        }
        for curve in curves
    ]


def _say(value: Value | None) -> str:
    return "-" if value is None else show_with_interval(value)


NOTE = (
    "AUROC: the chance that a right answer is surer than a wrong one; 0.5 is chance. AURC: the mean of the curve, "
    "lower is better. Calibration error: how far confidences are from shares of right answers. 95% intervals by "
    f"bootstrap. Answers that state no label have no confidence and are left out. Curves begin at {FIRST_SHARE:.0%}."
)
"""What the figures are."""
