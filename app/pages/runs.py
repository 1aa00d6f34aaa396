"""Runs: every run of the project, its steps and its report."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.console import difference_lines, kinds_lines, report_lines
from app.pages.frame import Frame, guard
from app.services import Services
from app.view import table_html, told_html
from engine.types import Difference, ReportRow
from storage.projects import Project

_EMPTY = "No run yet. `tacit train PROJECT` makes one from the newest selection, `tacit demo` one on puzzles."


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    services = frame.services
    gr.Markdown("## Runs\nAccuracy on held-out queries with its 95% interval, and tokens in the student's tokenizer.")
    chosen = gr.Dropdown([], label="Run", interactive=True)
    shown = gr.HTML(padding=False)

    frame.fill_once([chosen, shown], lambda project: _open(services, project))
    chosen.input(guard(lambda run: _show(services, run)), chosen, shown, **frame.quiet)


def _open(services: Services, project: Project | None) -> list[Any]:
    runs = [run for run in services.reading.runs() if project and run["project"] == project.name]
    choices = [(f"{run['plan']} · {run['status']} · {run['run'][:8]}", run["run"]) for run in runs]
    first = choices[0][1] if choices else None
    return [gr.Dropdown(choices=choices, value=first, visible=bool(choices)), _show(services, first)]


def _show(services: Services, run_id: str | None) -> str:
    if not run_id:
        return told_html(_EMPTY)
    data = services.reading.run(run_id)
    rows = [ReportRow(**row) for row in data["rows"]]
    ship = f"to ship: {data['ship']}" if data["ship"] else ""
    told = "; ".join(filter(None, [data["status"], data["message"], ship, *data["notes"]]))
    parts = [
        told_html(told, bad=data["status"] == "stopped"),
        table_html(report_lines(rows), "held-out queries"),
        table_html(kinds_lines(rows), "accuracy by kind"),
        table_html(difference_lines([Difference(**row) for row in data["differences"]]), "paired differences"),
        table_html(data["steps"], "steps"),
    ]
    return "".join(parts)
