"""Projects: what there is, and a new one."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from app.services import Services
from app.web.choices import enable
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.links import Link
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from engine.config import ProjectConfig, read_config
from engine.errors import InputError
from engine.tasks import TASKS
from storage.projects import Project

_GO = "(name) => { window.location.href = '/data?project=' + encodeURIComponent(name); }"
_GO_LABEL = _GO.replace("/data", "/label")
_FRESH = (48, 24)
"""Queries of a fresh copy: few enough to go through all steps in minutes."""


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    listed = lay_html()
    away = gr.Checkbox(False, label="show archived projects")
    do = _Handlers(frame)
    frame.fill_once([listed], lambda project: do.show(False))
    away.input(frame.guard(do.show), away, listed, **frame.quiet)
    _lay_afresh(frame, do)
    _lay_new(frame, do)
    _lay_whole(frame, do, listed)


def _lay_new(frame: Frame, do: _Handlers) -> None:
    with gr.Group():
        name = gr.Textbox(label="Name of a new project", max_length=100, placeholder="support tickets")
        with gr.Row():
            tasks = [(TASKS.get(name).title, name) for name in TASKS.names()]
            task = gr.Dropdown(tasks, value=TASKS.names()[0], label="What an answer is")
            embedder = gr.Dropdown(
                [("as this machine can", "auto"), ("packaged (all-MiniLM-L6-v2)", "packaged")],
                value="auto",
                label="Embedder of rationales",
            )
        create = gr.Button("Create the project", variant="primary")
    made = gr.Textbox(visible=False)
    created = create.click(frame.guard(do.create), [name, task, embedder], made, **frame.quiet)
    created.success(None, made, None, js=_GO, **frame.quiet)


def _lay_afresh(frame: Frame, do: _Handlers) -> None:
    """What makes a fresh copy of the project that is open."""
    again = gr.Button("Run it yourself", variant="primary", interactive=False)
    why = lay_html()
    gr.Markdown(
        f"A fresh project with {_FRESH[0]} queries to distill from, {_FRESH[1]} held out, and the teachers of the one "
        "that is open: label, select, train and score it live."
    )
    frame.fill_once([again, why], do.afresh)
    made = gr.Textbox(visible=False)
    begun = again.click(frame.guard(do.begin_afresh), frame.project, made, **frame.quiet)
    begun.success(None, made, None, js=_GO_LABEL, **frame.quiet)


def _lay_whole(frame: Frame, do: _Handlers, listed: gr.HTML) -> None:
    """What is done with a project as a whole."""
    with gr.Accordion("Duplicate, export, import, archive", open=False):
        with gr.Row():
            chosen = gr.Dropdown([], label="Project", interactive=True)
            export = gr.Button("Export it to a file", interactive=False)
            runs = gr.Checkbox(False, label="with its runs and adapters", min_width=160)
            put, bring = gr.Button("Archive it", interactive=False), gr.Button("Restore it", interactive=False)
        with gr.Row():
            new_name = gr.Textbox(label="Name of the copy, or of what is imported", max_length=100)
            duplicate = gr.Button("Duplicate it", interactive=False)
        file = gr.File(label="An exported project, to import", file_types=[".zip"], type="filepath")
        take = gr.Button("Import the file", interactive=False)
        said = lay_html()
        written = gr.File(label="The export", visible=False, interactive=False)
    whole = [export, put, bring, duplicate]
    frame.fill_once([chosen, *whole], do.start)
    shown = [said, listed, chosen, *whole]
    quick: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    chosen.input(frame.guard(do.fits), chosen, whole, **quick)
    file.change(lambda file: gr.Button(interactive=bool(file)), file, take, **quick)
    export.click(frame.guard(do.export), [chosen, runs], [said, written], **frame.quiet)
    put.click(frame.guard(do.archive), chosen, shown, **frame.quiet)
    bring.click(frame.guard(do.restore), chosen, shown, **frame.quiet)
    duplicate.click(frame.guard(do.duplicate), [chosen, new_name], shown, **frame.quiet)
    take.click(frame.guard(do.take), [file, new_name], shown, **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    frame: Frame
    exports: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    """What was exported for a download, for as long as the server runs."""

    @property
    def services(self) -> Services:
        return self.frame.services

    def create(self, name: str, task: str, embedder: str) -> str:
        config = read_config(ProjectConfig, {"name": name.strip(), "task": task, "embedder": embedder})
        return self.services.data.create_project(config).name

    def begin_afresh(self, name: str) -> str:
        chosen = _named(name)
        taken = set(self.services.projects.names())
        names = (f"{chosen}, run {number}" for number in range(1, len(taken) + 2))
        return self.services.carry.begin_afresh(chosen, next(n for n in names if n not in taken), *_FRESH).name

    def afresh(self, project: Project | None) -> list[Any]:
        """Whether a fresh copy would be of use, and why not."""
        reason = self.services.carry.afresh_hindrance(project) if project else "Open a project in the list first."
        return [gr.Button(interactive=not reason), notice_html(reason)]

    def start(self, project: Project | None) -> list[Any]:
        name = project.name if project else None
        return [self.names(name), *self.fits(name)]

    def fits(self, name: str | None) -> list[Any]:
        """What can be done with a project: an archived one can be restored, any other be archived."""
        chosen = next((project for project in self.services.projects.all() if project.name == name), None)
        can = (chosen is not None, chosen is not None and not chosen.archived, bool(chosen and chosen.archived))
        return enable(*can, chosen is not None)

    def show(self, away: bool) -> str:
        rows = [_line(row) for row in self.services.standing.overview(away)]
        nothing = "No project is archived." if away else "No project yet. Make one below, or run `tacit demo` for one."
        return table_html(rows, empty=nothing)

    def names(self, chosen: str | None) -> Any:
        return gr.Dropdown(self.services.projects.names(), value=chosen)

    def _announce(self, message: str, chosen: str) -> list[Any]:
        return [notice_html(message), self.show(False), self.names(chosen), *self.fits(chosen)]

    def export(self, name: str | None, runs: bool = False) -> list[Any]:
        chosen = _named(name)
        safe = re.sub(r"[^\w\- ]+", "_", chosen)
        folder = Path(tempfile.mkdtemp(dir=self.exports.name))
        path = self.services.carry.export(chosen, folder / f"{safe}.tacit.zip", runs)
        more = "runs, reports and adapters; never a key." if runs else "decisions; never a key, and no runs."
        message = f"It holds queries, labels, teachers, samples, ledger, {more}"
        return [notice_html(message), gr.File(str(path), visible=True)]

    def archive(self, name: str | None) -> list[Any]:
        self.services.carry.archive(_named(name))
        return self._announce(f"{name} is archived: out of the list, and nothing of it is lost.", _named(name))

    def restore(self, name: str | None) -> list[Any]:
        self.services.carry.restore(_named(name))
        return self._announce(f"{name} is back in the list.", _named(name))

    def duplicate(self, name: str | None, new_name: str) -> list[Any]:
        made = self.services.carry.duplicate(_named(name), new_name)
        return self._announce(f"{made.name} has the same queries, teachers, samples and decisions; no runs.", made.name)

    def take(self, file: str | None, new_name: str) -> list[Any]:
        if not file:
            raise InputError("Drop a file first that was exported here or elsewhere.")
        made = self.services.carry.bring(Path(file), new_name)
        unkeyed = f" Name the variable of the key again for {', '.join(made.unkeyed)}." if made.unkeyed else ""
        return self._announce(f"{made.name} is imported.{unkeyed}", made.name)


def _named(name: str | None) -> str:
    if not name:
        raise InputError("Choose a project first.")
    return name


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "project": Link(row["name"], "/data", row["name"]),
        "task": row["task"],
        "queries": row["queries"],
        "samples": row["samples"],
        "spent": f"${row['cost']:.2f}",
        "runs": row["runs"],
    }
