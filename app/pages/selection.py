"""What the parts of the page Select share: its settings as components hold them, and its numbers as a person reads
them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.pages.picking import enable
from app.pages.plots import histogram
from app.services import Services
from app.usecases.calibrating import Measured, say_measured
from app.usecases.tallies import say_kept, say_notices
from app.view import table_html, told_html
from engine.config import COMPUTED_FACTORS, SelectionConfig, read_config
from engine.errors import InputError, NotFound, StateError
from engine.tasks import get_task
from engine.types import Reason
from storage.projects import Project

FACTORS = ("reasoning", "answer", "clarity", *COMPUTED_FACTORS)
FACTOR_NAMES = {
    "agreement_weighted": "agreement, weighted",
    "agreement": "agreement, plain",
    "agreement_ds": "agreement, Dawid-Skene",
}
FACTOR_NOTES = {"agreement_ds": "a ranking score, not a probability"}
_REASONS = {
    Reason.NO_CONFIDENCE: "no confidence: too little is known",
    Reason.TEACHERS_DIFFER: "its two teachers differ",
    Reason.LABELS_DISAGREE: "labels disagree, none is the majority's",
    Reason.LABEL_MINORITY: "label of a minority",
}


RAW = {"preprocess": False}
"""How handlers of settings are bound: gradio's own check of a slider fails with a traceback where its number was
cleared, so values come as they are, and `read_settings` checks them."""


def read_settings(
    threshold: float | None, method: str, disagree: str, few: str, *numbers: float | None
) -> SelectionConfig:
    """The settings that the components hold, in their order: weights as `FACTORS` has them, then the temperature.

    Raises:
        InputError: if one is empty, or they can't be together.
    """
    *weights, temperature = numbers
    fields = {"threshold": threshold, **dict(zip(FACTORS, weights, strict=True)), "temperature": temperature}
    empty = [FACTOR_NAMES.get(name, name) for name, value in fields.items() if value is None]
    if empty:
        raise InputError(f"{' and '.join(empty)}: no number is given. Type one; nothing was changed meanwhile.")
    given = {name: weight for name, weight in zip(FACTORS, weights, strict=True) if weight}
    values = {"threshold": threshold, "method": method, "disagreement": disagree, "few": few or "keep"}
    weighed = {"weights": given or dict.fromkeys(FACTORS[:1], 0.0), "temperature": temperature}
    return read_config(SelectionConfig, values | weighed)


def begin_settings(services: Services, project: Project) -> tuple[list[Any], str]:
    """The settings of the newest selection as the components hold them, else the project's preset and why it is."""
    try:
        return hold_settings(project, services.context.selections.latest(project.id).config), ""
    except NotFound:
        preset = services.select.preset(project.name)
        return hold_settings(project, preset.config), preset.notice


def hold_settings(project: Project, config: SelectionConfig) -> list[Any]:
    """Settings as the components hold them, in the order of `read_settings`; weights sum to 1."""
    weights = config.weights or dict.fromkeys(get_task(project.config.task).factors, 1.0)
    whole = sum(weights.values())
    shares = (round(weights.get(name, 0.0) / whole, 3) for name in FACTORS)
    return [config.threshold, config.method, config.disagreement, config.few, *shares, config.temperature]


def draw_numbers(services: Services, project: str, values: tuple[Any, ...]) -> list[Any]:
    """What these settings keep, as text and as a histogram, and the buttons that select and draw the overviews.

    Settings that can't be are told in the place of the numbers.
    """
    try:
        config = read_settings(*values)
        found = services.select.preview(project, config)
        measured = services.calibrate.measure(project, config)
    except (StateError, InputError) as error:
        wrong = isinstance(error, InputError)
        can = enable(not wrong and services.select.has_samples(project), False)
        return [told_html(str(error), bad=wrong), gr.Plot(visible=False), *can]
    drawn = gr.Plot(histogram(found.histogram, config.threshold), visible=True)
    return [_numbers_html(found.counts, measured), drawn, *enable(True, True)]


def _numbers_html(counts: dict[str, Any], measured: Measured | None) -> str:
    notices = "".join(map(told_html, say_notices(counts)))
    warnings = "".join(
        told_html(f"{row['teacher']}: {row['passed']:.0%} pass; the threshold separates nothing", bad=True)
        for row in counts["spread"]
        if not row["separates"]
    )
    kept = [{"teacher": name, "kept": number} for name, number in counts["kept_by_teacher"].items()]
    reasons = [{"reason": say_reason(name), "samples": number} for name, number in counts["reasons"].items()]
    tables = f"<div class='beside'>{table_html(reasons)}{table_html(kept)}</div>"
    return told_html(say_kept(counts)) + notices + warnings + tables + _measured_html(measured)


def _measured_html(measured: Measured | None) -> str:
    if measured is None:
        return ""
    rows = [
        {
            "confidence": f"{row['from']:.1f} to {row['to']:.1f}",
            "samples": row["samples"],
            "mean": row["confidence"],
            "right": row["right"],
        }
        for row in measured.bins
    ]
    return told_html("\n".join(say_measured(measured))) + table_html(rows)


def say_reason(reason: str | None) -> str:
    """A reason as a person reads it."""
    if reason is None:
        return "not selected yet"
    return _REASONS.get(Reason(reason), reason.replace("_", " "))
