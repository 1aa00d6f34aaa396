"""What the parts of the page Select share: its settings as components hold them, and its numbers as a person reads
them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.pages.plots import histogram
from app.services import Services
from app.view import table_html, told_html
from engine.config import COMPUTED_FACTORS, SelectionConfig, read_config
from engine.errors import NotFound, StateError
from engine.tasks import get_task
from storage.projects import Project

FACTORS = ("reasoning", "answer", "clarity", *COMPUTED_FACTORS)


def read_settings(threshold: float, method: str, disagree: str, few: str, *weights: float) -> SelectionConfig:
    """The settings that the components hold, in their order.

    Raises:
        ConfigError: if they can't be.
    """
    named = dict(zip(FACTORS, weights, strict=True))
    given = {name: weight for name, weight in named.items() if weight} or dict.fromkeys(FACTORS[:1], 0.0)
    values = {"threshold": threshold, "method": method, "disagreement": disagree, "few": few or "keep"}
    return read_config(SelectionConfig, values | {"weights": given})


def stored_settings(services: Services, project: Project) -> list[Any]:
    """The settings of the newest selection, else the defaults, as the components hold them; weights sum to 1."""
    try:
        config = services.context.selections.latest(project.id).config
    except NotFound:
        config = SelectionConfig()
    weights = config.weights or dict.fromkeys(get_task(project.config.task).factors, 1.0)
    whole = sum(weights.values())
    shares = (round(weights.get(name, 0.0) / whole, 3) for name in FACTORS)
    return [config.threshold, config.method, config.disagreement, config.few, *shares]


def draw_numbers(services: Services, project: str, values: tuple[Any, ...]) -> list[Any]:
    """What these settings keep, as text and as a histogram."""
    try:
        found = services.select.preview(project, read_settings(*values))
    except StateError as error:
        return [told_html(str(error)), gr.Plot(visible=False)]
    return [_numbers_html(found.counts), gr.Plot(histogram(found.histogram, values[0]), visible=True)]


def _numbers_html(counts: dict[str, Any]) -> str:
    told = (
        f"kept {counts['kept']:,} of {counts['samples']:,} samples, for {counts['queries_kept']:,} of "
        f"{counts['queries']:,} queries; the labels differ in {counts['label_disagreements']:,}"
    )
    warnings = "".join(
        told_html(f"{row['teacher']}: {row['passed']:.0%} pass; the threshold separates nothing", bad=True)
        for row in counts["spread"]
        if not row["separates"]
    )
    kept = [{"teacher": name, "kept": number} for name, number in counts["kept_by_teacher"].items()]
    reasons = [{"reason": say_reason(name), "samples": number} for name, number in counts["reasons"].items()]
    return told_html(told) + warnings + f"<div class='beside'>{table_html(reasons)}{table_html(kept)}</div>"


def say_reason(reason: str | None) -> str:
    """A reason as a person reads it."""
    return (reason or "not selected yet").replace("_", " ")
