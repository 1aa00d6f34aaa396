"""Exports: what do I take with me?"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.exports.exports import ADAPTER, ExportOrder
from app.usecases.exports.hub import SET, TOKEN, PushOrder, is_repository, list_pushed, read_what
from app.web.choices import enable, run_choices
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import only_guides
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.parts.texts import log_html
from engine.datasets import DATASETS
from engine.errors import InputError
from engine.exports import EXPORTERS, Scope
from engine.values import hash_id
from storage.projects import Project
from storage.runs import Run

_KEPT_S = 6 * 3600
"""How long a download stays on this disk."""

_SET = "set"
"""The choice of data that is the distillation set, not a dataset's rows."""


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame.services)
    run = gr.Dropdown([], label="Run", interactive=True)
    with gr.Row():
        with gr.Column(min_width=320):
            with gr.Row():
                which = gr.Dropdown(_list_sets(), value=_SET, label="Data", min_width=140)
                rows_as = lay_forms(Scope.ROWS, "Format")
            make = gr.Button("Make the file", variant="primary", interactive=False)
        with gr.Column(min_width=320):
            with gr.Row():
                stage = gr.Dropdown([], label="Student of stage", interactive=True, min_width=140)
                student_as = lay_forms(Scope.STUDENT, "Taken out as")
            with gr.Row():
                prepare = gr.Button("Prepare", interactive=False)
                take = gr.Button("Download the student", variant="primary", interactive=False)
    why = lay_html()
    said = lay_html()
    file = gr.File(label="Your file", visible=False, interactive=False)
    state = lay_html()
    with gr.Accordion("Card and load snippet", open=False):
        card = lay_html()
    serve, what, repository, token, private, push = _lay_push()
    frame.fill_once([run], do.choices)
    frame.fill([state], do.state)
    chosen = [frame.project, run, stage]
    parts = {"run": run, "stage": stage, "which": which, "form": student_as, "what": what, "repository": repository}
    choice = NamedForm(parts, lambda named: Choice(**named))
    ready: dict[str, Any] = {
        "inputs": [frame.project, *choice.inputs],
        "outputs": [make, prepare, take, push, why],
    }
    frame.fill_live(ready["outputs"], choice.inputs, do.ready, choice)
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    for part in (run.change, stage.change, which.input, student_as.input, what.input, repository.input):
        part(frame.guard(do.ready, choice), **ready, **last)
    run.change(frame.guard(do.stages), [frame.project, run], stage, show_progress="hidden", **frame.quiet)
    stage.change(frame.guard(do.show), chosen, [card, serve], show_progress="hidden", **frame.quiet)
    rows = NamedForm({"run": run, "dataset": which, "form": rows_as}, _read_rows)
    make.click(frame.guard(do.make, rows), [frame.project, *rows.inputs], [said, file], **frame.quiet)
    student = NamedForm({"run": run, "step": stage, "form": student_as}, _read_student)
    asked = [frame.project, *student.inputs]
    frame.follow(prepare.click(frame.guard(do.prepare, student), asked, [said, frame.timer], **frame.quiet))
    take.click(frame.guard(do.take, student), asked, [said, file], **frame.quiet)
    pushed = {"run": run, "step": stage, "what": what, "repository": repository, "private": private}
    order = NamedForm(pushed, _read_push)
    inputs = [frame.project, *order.inputs, token]
    frame.follow(push.click(frame.guard(do.push, order), inputs, [said, token, frame.timer], **frame.quiet))


def _lay_push() -> tuple[gr.HTML, gr.Dropdown, gr.Textbox, gr.Textbox, gr.Checkbox, gr.Button]:
    """How to serve the student, and what of it goes where on the Hub."""
    with gr.Accordion("Serve it, push it to the Hub", open=False):
        serve = lay_html()
        with gr.Row():
            what = gr.Dropdown([(title, name) for name, title in list_pushed().items()], value=ADAPTER, label="What")
            repository = gr.Textbox(
                label="Repository of the Hub", info="as OWNER/NAME", placeholder="owner/name", max_length=200
            )
            token = gr.Textbox(label=f"Token, kept in memory only (else {TOKEN} is read)", type="password")
            private = gr.Checkbox(True, label="private")
        push = gr.Button("Push to the Hub", interactive=False)
    return serve, what, repository, token, private, push


def _list_sets() -> list[tuple[str, str]]:
    rows = [(f"training rows: {DATASETS.get(name).title}", f"rows-{name}") for name in DATASETS]
    return [("the distillation set", _SET), *rows]


def lay_forms(scope: Scope, label: str) -> gr.Dropdown:
    """The exporters of what is taken out, the first chosen."""
    forms = [(EXPORTERS[name].title, name) for name in EXPORTERS if EXPORTERS[name].scope is scope]
    return gr.Dropdown(forms, value=forms[0][1], label=label, min_width=110)


@dataclass(frozen=True)
class Choice:
    """What is chosen on the page, by which its buttons go."""

    run: str | None
    stage: str | None
    which: str
    form: str
    what: str
    repository: str | None


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project and the run first."""

    services: Services
    made: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    """What was made for a download, for as long as the server runs."""

    def _run(self, project: str, run: str | None) -> Run:
        return self.services.reading.run_of(project, run)

    def choices(self, project: Project | None) -> Any:
        return run_choices(self.services.reading.runs_of(project.id) if project else [])

    def stages(self, project: str, run: str | None) -> Any:
        if not run:
            return gr.Dropdown([], value=None)
        run_record = self._run(project, run)
        names = self.services.export.stages(run_record)
        ship = next((s.report.name for s in self.services.compare.systems(run_record) if s.ship), None)
        return gr.Dropdown(names, value=ship if ship in names else names[-1] if names else None)

    def state(self, project: Project | None) -> str:
        """How exports and pushes went."""
        if project is None:
            return notice_html(NO_PROJECT)
        return table_html(self.services.publish.made(project), "made and pushed")

    @only_guides
    def ready(self, project: str, entered: Entered[Choice]) -> list[Any]:
        """Which buttons can do something now, and what the others lack."""
        export, choice = self.services.export, entered.read()
        run = self._run(project, choice.run) if choice.run else None
        stage = choice.stage if run is not None else None
        selected = run is not None or export.is_selected(project)
        made = run is not None and bool(stage) and export.is_ready(run, str(stage), choice.form)
        data = selected if choice.which == _SET else run is not None
        pushed = run is not None and (
            choice.what == SET or (bool(stage) and export.is_ready(run, str(stage), choice.what))
        )
        lacks = []
        if not selected:
            lacks.append("Nothing is selected yet: the page Select makes the set.")
        if run is None:
            lacks.append("Rows of stages, and students, come with a run: the page Train starts one.")
        elif not export.stages(run):
            lacks.append("This run has trained no stage yet, so there is no student to take out.")
        elif not stage:
            lacks.append("Choose the stage whose student is taken out.")
        elif not made:
            lacks.append(f"To be taken out as {EXPORTERS[choice.form].title}, the student is to be prepared first.")
        can = (data, bool(stage) and not made, made, pushed and is_repository(choice.repository or ""))
        return [*enable(*can), notice_html(" ".join(lacks))]

    def show(self, project: str, run: str | None, stage: str | None) -> list[Any]:
        if not run or not stage:
            return ["", ""]
        run_record = self._run(project, run)
        card = self.services.export.card(run_record, stage)
        command = f"tacit serve-student {run_record.id[:8]} --stage {stage}"
        more = "An OpenAI-compatible server of this student, by transformers serve:"
        return [log_html(card), notice_html(more) + log_html(command)]

    def _folder(self, *key: object) -> Path:
        """The folder of one download: asking for the same thing again fills the same folder. Old ones go."""
        root = Path(self.made.name)
        for folder in root.iterdir():
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _KEPT_S:
                    shutil.rmtree(folder, ignore_errors=True)
        made = root / hash_id("download", *key)
        made.mkdir(exist_ok=True)
        os.utime(made)
        return made

    def _file(self, project: str, order: ExportOrder) -> list[Any]:
        path = self.services.export.pack(project, order, self._folder(project, order))
        size = path.stat().st_size
        return [notice_html(f"{path.name}: {size / 1e6:,.1f} MB."), gr.File(str(path), visible=True)]

    def make(self, project: str, order: Entered[ExportOrder]) -> list[Any]:
        return self._file(project, order.read())

    def prepare(self, project: str, entered: Entered[ExportOrder]) -> list[Any]:
        order = entered.read()
        job = self.services.export.prepare(self._run(project, order.run).id, str(order.step), order.form)
        message = "It is made already." if job.status.over else "Being made; the state below says when it is done."
        return [notice_html(message), gr.Timer(active=True)]

    def take(self, project: str, entered: Entered[ExportOrder]) -> list[Any]:
        order = entered.read()
        return self._file(project, replace(order, run=self._run(project, order.run).id))

    def push(self, project: str, entered: Entered[PushOrder], token: str) -> list[Any]:
        order = entered.read()
        run = self._run(project, order.run)
        if token.strip():
            self.services.publish.keys.put(TOKEN, token)
        self.services.publish.push(replace(order, run=run.id))
        return [notice_html("Pushing; the state above says when it is done."), "", gr.Timer(active=True)]


def _read_rows(named: dict[str, Any]) -> ExportOrder:
    dataset = None if named["dataset"] == _SET else named["dataset"].removeprefix("rows-")
    if dataset is not None and not named["run"]:
        raise InputError("Choose a run first; the page Train starts one.")
    return ExportOrder(named["run"], None, dataset, named["form"])


def _read_student(named: dict[str, Any]) -> ExportOrder:
    return ExportOrder(named["run"], _named(named["step"]), None, named["form"])


def _read_push(named: dict[str, Any]) -> PushOrder:
    step = "" if named["what"] == SET else _named(named["step"])
    run, repository, private = named["run"] or "", named["repository"] or "", bool(named["private"])
    return PushOrder(run, repository, read_what(named["what"]), step, private)


def _named(stage: str | None) -> str:
    if not stage:
        raise InputError("Choose a stage first; this run has trained none yet if there is nothing to choose.")
    return stage
