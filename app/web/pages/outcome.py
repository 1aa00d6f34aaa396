"""What settings of a selection come to, as the page Select shows it: numbers, plots, reasons, and the command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.selection.calibration import Measured, say_measured
from app.usecases.selection.selections import SelectionPreview
from app.usecases.selection.tallies import say_notices
from app.web.choices import enable
from app.web.parts.code import command_html
from app.web.parts.messages import notice_html
from app.web.parts.tables import Raw, table_html
from app.web.parts.tiles import Tile, tiles_html
from app.web.plots_selection import coverage_plot, small_multiples
from engine.errors import InputError, StateError
from engine.selection.settings import SelectionConfig
from engine.values import Reason

CUSTOM = "custom"
"""What the list of presets says where no preset is in force."""
_REASONS = {
    Reason.KEPT_PAIR: "kept: least similar pair",
    Reason.KEPT_FEW: "kept: too few for a pair",
    Reason.KEPT_UNSELECTED: "kept: there is no rule",
    Reason.KEPT: "kept: passed every rule",
    Reason.KEPT_BY_HAND: "kept by hand",
    Reason.DROPPED_BY_HAND: "dropped by hand",
    Reason.BELOW_THRESHOLD: "below the threshold",
    Reason.NOT_IN_TOP_SHARE: "not in the top share",
    Reason.GRADED_LOWER: "not graded Good",
    Reason.NOT_GRADED: "not graded",
    Reason.NO_CONFIDENCE: "no confidence: too little is known",
    Reason.TEACHERS_DIFFER: "its two teachers differ",
    Reason.NOT_IN_PAIR: "not in the pair",
    Reason.TOO_FEW_TEACHERS: "fewer than three teachers left",
    Reason.LABEL_MINORITY: "label of a minority",
    Reason.LABELS_DISAGREE: "labels disagree, no majority",
    Reason.REJECTED: "rejected by a rule",
}


def say_reason(reason: str | None) -> str:
    """A reason as a person reads it."""
    if reason is None:
        return "not selected yet"
    return _REASONS.get(Reason(reason), reason.replace("_", " "))


def explain(row: Mapping[str, Any], cut: float | None) -> str:
    """Why a sample was kept or not, with the numbers that decided it. `cut` is the threshold, if there is one."""
    said, similarity, confidence = say_reason(row["reason"]), row["similarity"], row["confidence"]
    if row["reason"] == Reason.KEPT_PAIR and similarity is not None:
        said = f"{said} (cosine {similarity:.2f})"
    elif row["reason"] == Reason.BELOW_THRESHOLD and confidence is not None and cut is not None:
        said = f"confidence {confidence:.3f} is {said} of {cut:g}"
    elif row["reason"] == Reason.NOT_IN_PAIR:
        said = f"{said}: the others are less alike"
    return said[:1].upper() + said[1:]


def draw_outcome(services: Services, project: str, read: Callable[[], SelectionConfig]) -> list[Any]:
    """What these settings keep, as values of: tiles with notices, both plots, reasons, gold, preset, command, and the
    buttons that select and redraw.

    Settings that can't be are told in the place of the numbers.
    """
    try:
        config = read()
        preview = services.select.preview(project, config)
        measured = services.calibrate.measure(project, config)
    except (StateError, InputError) as error:
        wrong = isinstance(error, InputError)
        can = enable(not wrong and services.select.has_samples(project), False)
        hidden = gr.Plot(visible=False)
        return [notice_html(str(error), bad=wrong), hidden, hidden, "", "", gr.skip(), gr.skip(), *can]
    preset = services.match.name_preset(project, config)
    shown = config.needs_confidence and any(map(sum, preview.histogram.values()))
    teachers = [spec.name for spec in services.projects.teachers(services.projects.get(project))]
    drawn = small_multiples(preview.histogram, config.cut, teachers) if shown else None
    bins = gr.Plot(drawn, visible=True) if shown else gr.Plot(visible=False)
    swept = preview.sweep
    curve = gr.Plot(coverage_plot(swept, config.cut), visible=True) if swept else gr.Plot(visible=False)
    return [
        _numbers_html(preview, measured),
        bins,
        curve,
        _reasons_html(preview.counts),
        _gold_html(measured),
        preset or CUSTOM,
        command_html(say_command(project, config, preset)),
        *enable(True, True),
    ]


def say_command(project: str, config: SelectionConfig, preset: str = "") -> list[str]:
    """The command that selects with exactly these settings; `preset`: the one that they come to."""
    words = ["tacit", "select", project]
    if preset:
        return [*words, "--preset", preset]
    words += ["--preset", "none" if not config.rules else "paper"]
    for rule in config.rules:
        settings = ",".join(f"{name}={value}" for name, value in rule.model_dump(exclude={"kind"}).items())
        words += ["--rule", f"{rule.kind}:{settings}" if settings else rule.kind]
    for name, weight in config.weights.items():
        words += ["--weight", f"{name}={weight:g}"]
    return words if config.temperature == 1 else [*words, "--temperature", f"{config.temperature:g}"]


def _numbers_html(preview: SelectionPreview, measured: Measured | None) -> str:
    counts = preview.counts
    notices = "".join(map(notice_html, say_notices(counts)))
    warnings = "".join(
        notice_html(f"{row['teacher']}: {row['passed']:.0%} pass; the threshold separates nothing.", tone="warn")
        for row in counts["spread"]
        if not row["separates"]
    )
    return tiles_html([*_tiles(counts), *_gold_tiles(measured)]) + warnings + notices


def _tiles(counts: Mapping[str, Any]) -> list[Tile]:
    share = counts["kept"] / counts["samples"] if counts["samples"] else 0.0
    answered = counts["queries"]
    return [
        Tile(f"{counts['kept']:,}", "Samples kept", f"of {counts['samples']:,} ({share:.0%})"),
        Tile(f"{counts['queries_kept']:,}", "Queries with a kept sample", f"of {answered:,}"),
        Tile(f"{counts['label_disagreements']:,}", "Label disagreement", "queries whose labels differ, of what passes"),
    ]


def _gold_tiles(measured: Measured | None) -> list[Tile]:
    if measured is None or measured.kept_right is None:
        return []
    low, high = measured.kept_low, measured.kept_high
    note = f"95% interval {low:.1%} to {high:.1%}; of all samples {measured.right:.1%}"
    return [Tile(f"{measured.kept_right:.1%}", "Right among kept", note)]


def _reasons_html(counts: Mapping[str, Any]) -> str:
    """Why samples stay or go, and how many of each teacher stay, each with its share as a bar."""
    reasons = sorted(counts["reasons"].items(), key=lambda item: (not Reason(item[0]).kept, -item[1]))
    tables = _shares("Reason", [(say_reason(name), number) for name, number in reasons], counts["samples"])
    kept = _shares("Teacher", list(counts["kept_by_teacher"].items()), counts["kept"])
    return f"<div class='beside reasons'>{tables}{kept}</div>"


def _shares(title: str, rows: Sequence[tuple[str, int]], whole: int) -> str:
    noun = "Samples" if title == "Reason" else "Kept"
    return table_html(
        [
            {
                title: name,
                noun: number,
                "Share": Raw(
                    f"<span class='portion'><span style='width:{100 * number / (whole or 1):.0f}%'></span></span>"
                ),
            }
            for name, number in rows
        ]
    )


def _gold_html(measured: Measured | None) -> str:
    if measured is None:
        return notice_html("No answered query has a gold label, so nothing is known of how right confidences are.")
    rows = [
        {
            "Confidence": f"{row['from']:.1f} to {row['to']:.1f}",
            "Samples": row["samples"],
            "Mean confidence": row["confidence"],
            "Share right": row["right"],
        }
        for row in measured.bins
    ]
    return notice_html("\n".join(say_measured(measured))) + table_html(rows)
