"""A study's result as one HTML file that is read offline. Pure."""

from __future__ import annotations

from datetime import date
from html import escape
from importlib.metadata import version

from app.usecases.evaluation.charts import Bar, intervals_svg
from app.usecases.evaluation.html_report import document_html, facts_html, figure_html, rows_html, verdict_html
from app.usecases.evaluation.summary import Summary
from app.usecases.training.study_lines import arm_rows, contrast_rows, judge_study, kind_rows, say_budget
from engine.study import Grid
from engine.study_table import StudyResult


def study_html(grid: Grid, result: StudyResult, written: date) -> str:
    """What a study says so far: the chosen contrast, the arms with their intervals, all differences, the settings."""
    verdict = judge_study(grid, result)
    summary = Summary(verdict.title, verdict.text, verdict.sure, (), ())
    bars = [Bar(arm.arm, arm.score, arm.low, arm.high) for arm in result.arms]
    parts = [
        verdict_html(summary),
        "<h2>Arms, over seeds and queries</h2>",
        figure_html(intervals_svg(bars, "score with its 95% interval")),
        rows_html(arm_rows(result)),
    ]
    by_kind = kind_rows(result)
    parts += ["<h2>Score by kind of query</h2>", rows_html(by_kind)] if by_kind else []
    if result.contrasts:
        parts += [
            "<h2>Differences on the same queries</h2>",
            rows_html(contrast_rows(result)),
            "<p class='quiet'>All but the contrast chosen beforehand are corrected by Holm's method.</p>",
        ]
    if result.missing:
        parts += ["<h2>Missing</h2>", *(f"<p>{escape(line)}</p>" for line in result.missing)]
    facts = {
        "Study": grid.name,
        "Project": grid.project,
        "Seeds": ", ".join(map(str, grid.seeds)),
        "Budget": say_budget(grid),
        "Tacit": version("tacit-studio"),
        **{f"Setting {name}": str(value) for name, value in grid.order.items()},
    }
    arms = [{"arm": arm.name, **{k: str(v) for k, v in arm.model_dump().items() if k != "name"}} for arm in grid.arms]
    parts += ["<h2>Where it comes from</h2>", facts_html(facts), "<h2>Settings of the arms</h2>", rows_html(arms)]
    return document_html(f"{grid.name}: study", f"Written {written.isoformat()}.", parts)
