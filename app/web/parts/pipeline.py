"""The steps of a plan drawn in a row, and the way from queries to stages drawn as a funnel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from engine.datasets import DATASETS
from engine.plans import Answer, AnyStep, Compress, Evaluate, Plan, Train
from engine.plans.titles import title_of


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


State = Literal["", "queued", "running", "done", "failed", "stale"]


def pipeline_html(plan: Plan, notes: Mapping[str, str] | None = None, states: Mapping[str, State] | None = None) -> str:
    """The steps of a plan in their order, what trains outlined.

    `notes` and `states` by a step's name: what is known of it, and where it stands. Scoring stands behind the step that
    it scores, so it is one part at the end, with the note of the evaluation that runs.
    """
    notes, states = notes or {}, states or {}
    own = f"by its own rules: {plan.selection.title}" if plan.selection else "what was selected"
    parts = [_part_html("Select", own, "done" if states else "", "")]
    for step in plan.steps:
        if isinstance(step, Evaluate):
            continue
        title, text = _say_step(step)
        said = " · ".join(filter(None, (text, notes.get(step.name, ""))))
        kind = "main" if isinstance(step, Train) else ""
        parts.append(_part_html(title, said, states.get(step.name, ""), kind))
    if plan.evaluated:
        parts.append(_scored_html(plan, notes, states))
    return f"<ol class='pipeline' aria-label='Steps of the plan'>{''.join(parts)}</ol>"


def title_steps(plan: Plan) -> dict[str, str]:
    """How a person reads the steps of a plan, by name; of those that read alike the name stands behind."""
    titles = {
        step.name: f"Score {title_of(step.system)}" if isinstance(step, Evaluate) else _say_step(step)[0]
        for step in plan.steps
    }
    several = [title for title in titles.values() if list(titles.values()).count(title) > 1]
    return {name: f"{title} ({name})" if title in several else title for name, title in titles.items()}


def _scored_html(plan: Plan, notes: Mapping[str, str], states: Mapping[str, State]) -> str:
    """The scoring of all students as one part: as far as the least of them."""
    statuses = [states.get(step.name, "") for step in plan.evaluated]
    done = sum(state == "done" for state in statuses)
    every: tuple[State, ...] = ("failed", "running")
    state: State = next((one for one in every if one in statuses), "done" if done == len(statuses) else "queued")
    systems = f"{len(statuses)} systems on the held-out queries"
    said = f"{done} of {systems}" if states and done < len(statuses) else systems
    note = next((notes.get(step.name, "") for step in plan.evaluated if states.get(step.name) == "running"), "")
    return _part_html("Score", " · ".join(filter(None, (said, note))), state if states else "", "")


def _part_html(title: str, text: str, state: State, kind: str) -> str:
    """One part of the row. A state is told by a mark and, to whoever hears the page, in a word."""
    classes = " ".join(filter(None, (kind, state)))
    mark = f"<i class='mark' role='img' aria-label='{state}' title='{state}'></i>" if state else ""
    named = f" class='{classes}'" if classes else ""
    return f"<li{named}><b>{mark}{escape(title)}</b><span>{escape(text)}</span></li>"


def _say_step(step: AnyStep) -> tuple[str, str]:
    if isinstance(step, Train):
        epochs = f"{step.train.epochs:g} {'epoch' if step.train.epochs == 1 else 'epochs'}"
        size = f"{step.train.updates:,} updates" if step.train.updates else epochs
        size = f"{step.train.tokens:,} training tokens" if step.train.tokens else size
        size = "equal updates" if step.equal_updates_to else size
        taught = DATASETS.get(step.dataset).title if step.dataset in DATASETS.names() else step.dataset
        return title_of(step.name), f"{taught}, {size}, rate {step.train.learning_rate:g}"
    if isinstance(step, Answer):
        return "Student answers", "its own rationales"
    if isinstance(step, Compress):
        return "Compress", "teachers shorten"
    return ("Review", "you review them") if getattr(step, "approve", "") == "person" else ("Approve", "all of them")
