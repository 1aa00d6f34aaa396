"""The steps of a plan drawn in a row, and the way from queries to stages drawn as a funnel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from engine.datasets import DATASETS
from engine.plans import Answer, AnyStep, Compress, Evaluate, Plan, Train


@dataclass(frozen=True)
class Narrowing:
    """One bar of a funnel: how many are left, what was lost here, and the page that shows it."""

    title: str
    count: int
    lost: str
    href: str
    more: str = ""


def funnel_html(steps: Sequence[Narrowing]) -> str:
    """Bars as wide as their counts, one below the other; each leads to its page."""
    most = max((step.count for step in steps), default=0) or 1
    lines = []
    for step in steps:
        share = 100 * step.count / most
        kind = "" if step.count else " class='todo'"
        said = " · ".join(filter(None, (step.lost, step.more)))
        lines.append(
            f"<a href='{escape(step.href)}'{kind}><span>{escape(step.title)}</span>"
            f"<span class='track'><span class='width' style='width:{share:.1f}%'></span></span>"
            f"<span class='count'>{step.count:,}</span><span class='lost'>{escape(said)}</span></a>"
        )
    return f"<nav class='funnel' aria-label='From queries to stages'>{''.join(lines)}</nav>"


def pipeline_html(plan: Plan, notes: Mapping[str, str] | None = None) -> str:
    """The steps of a plan in their order, what trains outlined. `notes`: what is known of a step, by its name.

    Scoring stands behind the step it scores, so it is left out.
    """
    own = f"by its own rules: {plan.selection.title}" if plan.selection else "what was selected"
    parts = [f"<li><b>select</b><span>{escape(own)}</span></li>"]
    for step in plan.steps:
        if isinstance(step, Evaluate):
            continue
        title, text = _say_step(step)
        note = (notes or {}).get(step.name, "")
        kind = " class='main'" if isinstance(step, Train) else ""
        said = " · ".join(filter(None, (text, note)))
        parts.append(f"<li{kind} title='{escape(step.name)}'><b>{escape(title)}</b><span>{escape(said)}</span></li>")
    scored = sum(isinstance(step, Evaluate) for step in plan.steps)
    parts.append(f"<li><b>score</b><span>{scored} systems on the held-out queries</span></li>" if scored else "")
    return f"<ol class='pipeline' aria-label='Steps of the plan'>{''.join(parts)}</ol>"


def _say_step(step: AnyStep) -> tuple[str, str]:
    if isinstance(step, Train):
        epochs = f"{step.train.epochs:g} {'epoch' if step.train.epochs == 1 else 'epochs'}"
        size = f"{step.train.updates:,} updates" if step.train.updates else epochs
        size = f"{step.train.tokens:,} training tokens" if step.train.tokens else size
        size = "equal updates" if step.equal_updates_to else size
        taught = DATASETS.get(step.dataset).title if step.dataset in DATASETS.names() else step.dataset
        return step.name, f"{taught}, {size}, rate {step.train.learning_rate:g}"
    if isinstance(step, Answer):
        return "student answers", "its own rationales"
    if isinstance(step, Compress):
        return "compress", "teachers shorten"
    return ("review", "you review them") if getattr(step, "approve", "") == "person" else ("approve", "all of them")
