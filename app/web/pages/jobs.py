"""Jobs and spend: what runs and ran, what it cost, over all projects; removing for good, backup."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.workspace.upkeep import JOBS
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from engine.errors import InputError
from engine.values import JobStatus
from engine.wording import counted, say_span
from storage.projects import Project

_ALL = "all projects"


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame.services)
    only = gr.Dropdown([_ALL], value=_ALL, label="Of", interactive=True)
    with gr.Row():
        job = gr.Dropdown([], label="A job that runs", interactive=True)
        cancel = gr.Button("Cancel it", variant="stop", visible=False)
    with gr.Row():
        aside = gr.Dropdown([], label="A job whose journal could not be taken in", visible=False, interactive=True)
        retry = gr.Button("Take it in again", visible=False)
    said = lay_html()
    jobs = lay_html()
    with gr.Row():
        first, older = gr.Button("Newest jobs", interactive=False), gr.Button("Older jobs", interactive=False)
    spend = lay_html()
    place = gr.State(None)
    with gr.Accordion("Remove a project for good", open=False):
        gr.Markdown("Its queries, samples, ledger, runs and adapters. Putting it away, on Projects, loses nothing.")
        with gr.Row():
            project = gr.Dropdown([], label="Project", interactive=True)
            typed = gr.Textbox(label="Its name again", info="to be sure: only then it is removed", max_length=100)
            purge = gr.Button("Remove it for good", variant="stop", interactive=False)
        gone = lay_html()
    with gr.Accordion("Back the workspace up", open=False):
        gr.Markdown(
            "One file with everything but keys. `tacit restore FILE --workspace NEW_FOLDER` unpacks it; the folder "
            "that is open here can't be replaced while it is."
        )
        back_up = gr.Button("Make a backup")
        kept = lay_html()
        file = gr.File(label="The backup", visible=False, interactive=False)
    frame.fill_once([only, project, place], do.open)
    frame.fill([job, cancel], do.running)
    frame.fill([aside, retry], do.quarantined)
    shown = [jobs, spend, first, older]
    frame.fill_live(shown, [only, place], do.show)
    only.input(frame.guard(do.newest), [frame.project, only], [*shown, place], **frame.quiet)
    first.click(frame.guard(do.newest), [frame.project, only], [*shown, place], **frame.quiet)
    older.click(frame.guard(do.older), [frame.project, only, place], [*shown, place], **frame.quiet)
    for part in (project, typed):
        part.change(_sure, [project, typed], purge, show_progress="hidden", trigger_mode="always_last", **frame.quiet)
    frame.follow(cancel.click(frame.guard(do.cancel), [frame.project, job], [said, frame.timer], **frame.quiet))
    frame.follow(retry.click(frame.guard(do.retry), [frame.project, aside], said, **frame.quiet))
    purged = purge.click(frame.guard(do.purge), [frame.project, project, typed], [gone, only, project], **frame.quiet)
    frame.follow(purged.success(frame.guard(do.newest), [frame.project, only], [*shown, place], **frame.quiet))
    back_up.click(frame.guard(do.back_up), frame.project, [kept, file], **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project of the address first."""

    services: Services
    made: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    """Backups that were made for a download, for as long as the server runs."""

    def open(self, project: Project | None) -> list[Any]:
        names = self.services.projects.names()
        return [gr.Dropdown([_ALL, *names], value=_ALL), gr.Dropdown(names, value=None), None]

    def running(self, project: Project | None) -> list[Any]:
        jobs = self.services.standing.running()
        names = [(f"{job.project}: {job.kind} {job.status}", job.id) for job in jobs]
        chosen = gr.Dropdown(names, value=names[0][1] if names else None, visible=bool(names))
        return [chosen, gr.Button(visible=bool(names))]

    def quarantined(self, project: Project | None) -> list[Any]:
        rows = self.services.keep.quarantined()
        names = [(f"{row['project'] or '(removed)'}: {row['kind']} {row['id'][:8]}", row["id"]) for row in rows]
        chosen = gr.Dropdown(names, value=names[0][1] if names else None, visible=bool(names))
        return [chosen, gr.Button(visible=bool(names))]

    def retry(self, project: str, job: str | None) -> Any:
        if not job:
            raise InputError("Choose a job first.")
        taken = self.services.keep.retry(job)
        return notice_html(f"Its journal is taken in; the {taken.kind} job is {taken.status}. {taken.message}")

    def _only(self, only: str | None) -> str | None:
        return None if only in (None, _ALL) else self.services.projects.get(str(only)).id

    def show(self, project: str, only: str | None, place: int | None) -> list[Any]:
        rows = self.services.keep.jobs(place, self._only(only))
        spent = self.services.keep.spend(self._only(only))
        total = sum(row["cost"] for row in spent)
        unknown = sum(row["unknown"] for row in spent)
        summary = f"${total:.4f} in all"
        summary += f", and {counted(unknown, 'request')} whose cost is not known" if unknown else ""
        table = table_html([_line(row) for row in rows], "jobs, newest first", empty="No job here yet.")
        spend = table_html([_spent(row) for row in spent], "spend by teacher and purpose")
        more = gr.Button(interactive=len(rows) == JOBS), gr.Button(interactive=place is not None)
        return [table, notice_html(summary) + spend, *reversed(more)]

    def newest(self, project: str, only: str | None) -> list[Any]:
        return [*self.show(project, only, None), None]

    def older(self, project: str, only: str | None, place: int | None) -> list[Any]:
        rows = self.services.keep.jobs(place, self._only(only))
        behind = rows[-1]["number"] if rows else place
        return [*self.show(project, only, behind), behind]

    def cancel(self, project: str, job: str | None) -> list[Any]:
        if not job:
            raise InputError("No job runs.")
        self.services.keep.cancel(job)
        return [notice_html("Asked to stop; what it journaled is kept."), gr.Timer(active=True)]

    def purge(self, project: str, name: str | None, typed: str) -> list[Any]:
        if not name:
            raise InputError("Choose a project first.")
        self.services.keep.purge(name, typed)
        names = self.services.projects.names()
        message = notice_html(f"{name} is removed for good.")
        return [message, gr.Dropdown([_ALL, *names], value=_ALL), gr.Dropdown(names, value=None)]

    def back_up(self, project: str) -> list[Any]:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M")
        folder = Path(tempfile.mkdtemp(dir=self.made.name))
        path = self.services.keep.back_up(folder / f"tacit-{stamp}.backup.zip")
        return [notice_html(f"{path.stat().st_size / 1e6:,.1f} MB."), gr.File(str(path), visible=True)]


def _sure(project: str | None, typed: str) -> Any:
    """The button that removes for good: the name must be typed once more."""
    return gr.Button(interactive=bool(project) and typed.strip() == project)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    over = JobStatus(row["status"]).over
    return {
        "project": row["project"] or "(removed)",
        "job": row["kind"],
        "status": row["status"],
        "started": f"{row['started']:%Y-%m-%d %H:%M} UTC",
        "took": "-" if row["seconds"] is None or not over else say_span(row["seconds"]),
        "US $": "unknown" if row["cost"] is None else f"{row['cost']:.4f}",
        "what happened": row["message"],
    }


def _spent(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "project": row["project"],
        "teacher": row["teacher"],
        "for": row["purpose"],
        "requests": row["requests"],
        "failed": row["failed"],
        "tokens in": row["tokens_in"],
        "tokens out": row["tokens_out"],
        "US $": f"{row['cost']:.4f}" + (" and unknown" if row["unknown"] else ""),
    }
