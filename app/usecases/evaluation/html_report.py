"""A run's report as one HTML file: no script, nothing fetched, all that others wrote escaped. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Any

from app.usecases.evaluation.comparisons import System, Terms
from app.usecases.evaluation.html_style import STYLE
from app.usecases.evaluation.html_tables import kinds_html, plot_html, systems_html
from app.usecases.evaluation.report_lines import more_lines, name_lines
from app.usecases.evaluation.risk_charts import MEANING, NONE_KEPT, NOTE, risk_plot_html, risk_rows
from app.usecases.evaluation.summary import Figure, KindTable, Summary, Table
from engine.evaluation.risk_coverage import RiskCoverage


@dataclass(frozen=True)
class RunReport:
    """All that is told of a run: what it comes to, its systems, and where that comes from.

    `facts` are names and values of the run, `settings` of its training, `origins` the tables of teachers, prompts and
    prices by their titles; `curves` what the confidence of each student is worth; `more` says what to know beside the
    numbers.
    """

    project: str
    plan: str
    written: date
    terms: Terms
    systems: tuple[System, ...]
    summary: Summary
    table: Table
    curves: tuple[RiskCoverage, ...]
    kinds: KindTable | None
    pays_back: str
    more: tuple[str, ...]
    facts: Mapping[str, str]
    settings: tuple[Mapping[str, Any], ...]
    origins: Mapping[str, Sequence[Mapping[str, Any]]]

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each system by its name."""
        return {system.report.name: system.colour for system in self.systems}


def run_html(report: RunReport) -> str:
    """The report as one file."""
    systems = report.systems
    measure = systems[0].report.measure if systems else "score"
    parts = [
        verdict_html(report.summary),
        figures_html(report.summary.figures),
        *(f"<p class='quiet'>{escape(text)}</p>" for text in report.more),
    ]
    if systems:
        n = systems[0].report.n
        parts += [
            f"<h2>All systems on {n:,} held-out queries</h2>",
            systems_html(report.table),
            terms_html(report.table),
            f"<h2>{escape(measure.capitalize())} against output tokens</h2>",
            plot_html(systems),
        ]
    if report.kinds:
        parts += [f"<h2>{escape(measure.capitalize())} by kind of query</h2>", kinds_html(report.kinds)]
    if systems:
        parts += ["<h2>Risk and coverage</h2>", *_risk_parts(report.curves, report.colours)]
    lines = name_lines(more_lines([system.report for system in systems]))
    if lines:
        parts += ["<h2>Calibration and agreement</h2>", rows_html(lines)]
    if report.pays_back:
        parts += ["<h2>When it pays back</h2>", f"<p>{escape(report.pays_back)}</p>"]
    parts += ["<h2>Where it comes from</h2>", facts_html(report.facts)]
    parts += ["<h2>Steps of the plan</h2>", rows_html(report.settings)] if report.settings else []
    for title, rows in report.origins.items():
        parts += [f"<h2>{escape(title)}</h2>", rows_html(rows)] if rows else []
    lead = f"Run {report.facts.get('Run', '')} of the plan {report.plan}. Written {report.written.isoformat()}."
    return document_html(f"{report.project}: evaluation", lead, parts)


def _risk_parts(curves: Sequence[RiskCoverage], colours: Mapping[str, str]) -> list[str]:
    """What students' confidences are worth; why nothing is known of it."""
    if not curves:
        return [f"<p>{escape(NONE_KEPT)}</p>"]
    notes = [f"<p class='quiet'>{escape(text)}</p>" for text in (MEANING, NOTE)]
    return [notes[0], risk_plot_html(curves, colours), rows_html(risk_rows(curves)), notes[1]]


def document_html(title: str, lead: str, parts: Sequence[str]) -> str:
    """A whole file; `parts` are HTML already."""
    said = escape(title)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta name='generator' content='Tacit'>"
        f"<title>{said}</title><style>{STYLE}</style></head><body><main><h1>{said}</h1>"
        f"<p class='quiet'>{escape(lead)}</p>{''.join(parts)}</main></body></html>\n"
    )


def verdict_html(summary: Summary) -> str:
    """What follows from the figures, why, and what would help."""
    kind = "verdict" if summary.sure else "verdict wait"
    helps = "".join(f"<p>{escape(text)}</p>" for text in summary.helps)
    return f"<div class='{kind}'><h2>{escape(summary.title)}</h2><p>{escape(summary.text)}</p>{helps}</div>"


def figures_html(figures: Sequence[Figure]) -> str:
    """Numbers that stand for themselves."""
    tiles = [
        f"<div class='tile {figure.tone}'><span>{escape(figure.label)}</span><b>{escape(figure.value)}</b>"
        f"<span class='quiet'>{escape(figure.note)}</span></div>"
        for figure in figures
    ]
    return f"<div class='tiles'>{''.join(tiles)}</div>" if tiles else ""


def figure_html(svg: str) -> str:
    """A chart in its frame."""
    return f"<div class='figure'>{svg}</div>" if svg else ""


def terms_html(table: Table) -> str:
    """What the columns are."""
    return "".join(f"<p class='quiet'>{escape(f'{c.title}: {c.help}.')}</p>" for c in table.columns)


def rows_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """A plain table with the columns of its first row; numbers to the right."""
    if not rows:
        return ""
    names = list(rows[0])
    right = {
        name for name in names if all(isinstance(row.get(name), (int, float)) or row.get(name) is None for row in rows)
    }

    def side(name: str) -> str:
        return " class='right'" if name in right else ""

    head = "".join(f"<th scope='col'{side(name)}>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td{side(name)}>{escape(_say(row.get(name)))}</td>" for name in names) + "</tr>"
        for row in rows
    )
    return f"<div class='plain'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _say(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def facts_html(facts: Mapping[str, str]) -> str:
    """Names and values."""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{lines}</dl>"
