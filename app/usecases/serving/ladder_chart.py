"""The curve of a ladder: what is right against what it takes, with every system alone beside it."""

from __future__ import annotations

from app.usecases.evaluation.charts import TOKENS_AXIS, Dot, Shape, tradeoff_svg
from app.usecases.serving.savings import Saving
from engine.evaluation.measures.score import wilson
from engine.plans.titles import title_of
from engine.serving.saving import Effort

_AXES = {
    "tokens": TOKENS_AXIS,
    "dollars": "US dollars a thousand answers, log scale",
    "seconds": "seconds an answer, log scale",
}
LADDER = "ladder"
_LADDER_COLOUR = "#c0267b"


def ladder_html(saving: Saving, measure: str) -> str:
    """The curve, drawn once for wide and once for narrow screens; on the half that certifies."""
    effort, ladder = saving.order.effort, saving.ladder
    points = [(x, step.score) for step in ladder.steps if (x := _amount(step.effort, effort)) is not None]
    dots = []
    for single in ladder.singles:
        x = _amount(single.effort, effort)
        if x is not None:
            low, high = wilson(round(single.score * ladder.n), ladder.n)
            shape: Shape = "diamond" if single is ladder.reference else "circle"
            dots.append(Dot(title_of(single.system), x, single.score, low, high, saving.colours[single.system], shape))
    here, step = _amount(saving.choice.step.effort, effort), saving.choice.step
    if here is not None and saving.choice.place:
        low, high = wilson(round(step.score * ladder.n), ladder.n)
        dots.append(Dot(LADDER, here, step.score, low, high, _LADDER_COLOUR, "square", strong=True))
    drawn = "".join(tradeoff_svg(dots, measure, wide, 380, points, _AXES[effort]) for wide in (940, 340))
    note = (
        f"On the {ladder.n:,} held-out queries that took no part in fitting, with 95% intervals. The line goes from "
        f"{ladder.reference.system} alone to the boldest ladder."
    )
    return f"<div class='card figure'>{drawn}</div><p class='quiet'>{note}</p>"


def _amount(effort: Effort, name: str) -> float | None:
    value: float | None = getattr(effort, name)
    return 1000 * value if value is not None and name == "dollars" else value
