"""What a finished project came to: the card that stands first for a stranger, and one answer beside another."""

from __future__ import annotations

from html import escape

from app.usecases.evaluation.comparisons import System
from app.usecases.projects.results import Result, ResultExample
from app.web.parts.scatter import ScatterDot, scatter_html
from engine.costs import ASSUMED
from engine.values.report import ReportRow
from engine.wording import counted

_FEW = 1.5
"""Up to this factor between two lengths their share says more than a fraction."""


def result_html(result: Result) -> str:
    """The student's score and length beside the best teacher's, what that saves, and all systems as dots."""
    student, teacher = result.student, result.teacher
    facts = [_share(student.report, teacher.report) if teacher else "", _money(student, teacher) if teacher else ""]
    text = "".join(f"<p>{escape(fact)}</p>" for fact in facts if fact)
    return (
        f"<section class='card result' aria-label='Result of {escape(result.project)}'><div>"
        f"<div class='quiet'>{escape(_of_what(result))}</div><p class='headline'>{_headline_html(result)}</p>{text}"
        f"<p class='quiet'>{escape(_who(result))}</p></div>{_plot_html(result)}</section>"
    )


def _of_what(result: Result) -> str:
    return f"Project {result.project} · {counted(result.student.report.n, 'unseen query', 'unseen queries')}"


def _headline_html(result: Result) -> str:
    row, teacher = result.student.report, result.teacher
    measure = row.measure.capitalize()
    begin = "" if result.ships else "Nothing worth shipping yet. "
    said = f"{begin}{measure} <b>{row.accuracy:.2f}</b> with <b>{row.mean_output_tokens:.1f} tokens</b> an answer"
    if teacher is None:
        return f"{said}."
    return (
        f"{said}; the best teacher {teacher.report.accuracy:.2f} with {teacher.report.mean_output_tokens:.1f} tokens."
    )


def _share(student: ReportRow, teacher: ReportRow) -> str:
    if not teacher.accuracy or not student.mean_output_tokens:
        return ""
    times = teacher.mean_output_tokens / student.mean_output_tokens
    part = f"1/{times:.0f}" if times > _FEW else f"{1 / times:.0%}"
    share = f"{student.accuracy / teacher.accuracy:.0%} of the teacher's {student.measure}"
    return f"That is {share} with {part} of its tokens."


def _money(student: System, teacher: System) -> str:
    if student.cost_per_1000 is None or teacher.cost_per_1000 is None:
        return ""
    marks = [name for name, system in (("the teacher's", teacher), ("the device's", student)) if system.assumed]
    said = f"1,000 answers: {_dollars(student.cost_per_1000)} instead of {_dollars(teacher.cost_per_1000)}"
    return f"{said} ({' and '.join(marks)} price {ASSUMED})." if marks else f"{said}."


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value >= 0.01 else f"${value:.4f}"


def _who(result: Result) -> str:
    row = result.student.report
    kind = {"baseline": "a baseline", "stage": "a stage of the plan"}.get(result.student.group, "a student")
    teacher = f" Teacher: {result.teacher.report.name}." if result.teacher else ""
    return f"Student: {row.name}, {kind}, 95% interval {row.ci_low:.2f} to {row.ci_high:.2f}.{teacher}"


def _plot_html(result: Result) -> str:
    labels = {result.student.report.name: "student"}
    if result.teacher:
        labels[result.teacher.report.name] = "best teacher"
    untrained = [system.report for system in result.systems if system.group == "untrained"]
    if untrained:
        labels[max(untrained, key=lambda row: row.accuracy).name] = "untrained"
    dots = [
        ScatterDot(
            x=row.mean_output_tokens,
            y=row.accuracy,
            title=f"{row.name}: {row.accuracy:.2f} with {row.mean_output_tokens:.1f} tokens",
            colour=colour,
            label=f"{labels[row.name]} {row.accuracy:.2f}" if row.name in labels else "",
        )
        for row, colour in ((system.report, system.colour) for system in result.systems)
    ]
    return scatter_html(dots, "output tokens an answer", result.student.report.measure)


def example_html(example: ResultExample) -> str:
    """One query with the teacher's long answer and the student's short one, as they are stored."""
    choices = "".join(f"<li>{escape(f'{choice.letter}. {choice.text}')}</li>" for choice in example.query.choices)
    listed = f"<ul>{choices}</ul>" if choices else ""
    sides = (
        (f"Teacher {example.teacher}", example.long, example.long_tokens),
        (f"Student {example.student}", example.short, example.short_tokens),
    )
    columns = "".join(
        f"<div class='pane'><b>{escape(name)}</b><p>{escape(text)}</p>"
        f"<div class='facts'>{counted(tokens, 'token')}</div></div>"
        for name, text, tokens in sides
    )
    return (
        f"<div class='card'><div class='title'>{escape(example.query.text)}</div>{listed}"
        f"<div class='columns'>{columns}</div>"
        "<div class='quiet'>Both answers as the run stored them; nobody trained on this query.</div></div>"
    )
