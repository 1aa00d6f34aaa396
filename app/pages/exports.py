"""Exports: what do I take with me?"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from app.offering import only_guides
from app.pages.frame import NO_PROJECT, Frame
from app.pages.picking import enable, run_choices
from app.services import Services
from app.usecases.publishing import TOKEN, PushOrder, is_repository, read_what
from app.view import log_html, table_html, told_html
from engine.datasets import DATASETS
from engine.errors import InputError
from engine.types import hash_id
from storage.projects import Project
from storage.runs import Run

_KEPT_S = 6 * 3600
"""How long a download stays on this disk."""

_PUSHED = [("the adapter", "adapter"), ("the merged model", "merged"), ("the distillation set", "set")]


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    gr.Markdown("## Exports\nThe set, and the student of a stage, each with what it was made from.")
    do = _Handlers(frame.services)
    run = gr.Dropdown([], label="Run", interactive=True)
    with gr.Row():
        with gr.Column(min_width=320):
            which = gr.Dropdown(_list_sets(), value="set.jsonl", label="Data")
            make = gr.Button("Make the file", variant="primary", interactive=False)
        with gr.Column(min_width=320):
            stage = gr.Dropdown([], label="Student of stage", interactive=True)
            with gr.Row():
                adapter = gr.Button("Adapter as zip", variant="primary", interactive=False)
                merge = gr.Button("Merge into the base model", interactive=False)
                merged = gr.Button("Merged model as zip", interactive=False)
    why = gr.HTML(padding=False)
    said = gr.HTML(padding=False)
    file = gr.File(label="Your file", visible=False, interactive=False)
    state = gr.HTML(padding=False)
    with gr.Accordion("Card and load snippet", open=False):
        card = gr.HTML(padding=False)
    with gr.Accordion("Serve it, push it to the Hub", open=False):
        serve = gr.HTML(padding=False)
        with gr.Row():
            what = gr.Dropdown(_PUSHED, value="adapter", label="What")
            repository = gr.Textbox(
                label="Repository of the Hub", info="as OWNER/NAME", placeholder="owner/name", max_length=200
            )
            token = gr.Textbox(label=f"Token, kept in memory only (else {TOKEN} is read)", type="password")
            private = gr.Checkbox(True, label="private")
        push = gr.Button("Push to the Hub", interactive=False)
    frame.fill_once([run], do.choices)
    frame.fill([state], do.state)
    chosen = [frame.project, run, stage]
    ready: dict[str, Any] = {
        "inputs": [*chosen, which, what, repository],
        "outputs": [make, adapter, merge, merged, push, why],
    }
    frame.fill_live(ready["outputs"], ready["inputs"][1:], do.ready)
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    for part in (run.change, stage.change, which.input, what.input, repository.input):
        part(frame.guard(do.ready), **ready, **last)
    run.change(frame.guard(do.stages), [frame.project, run], stage, show_progress="hidden", **frame.quiet)
    stage.change(frame.guard(do.show), chosen, [card, serve], show_progress="hidden", **frame.quiet)
    make.click(frame.guard(do.make), [frame.project, run, which], [said, file], **frame.quiet)
    adapter.click(frame.guard(do.adapter), chosen, [said, file], **frame.quiet)
    frame.follow(merge.click(frame.guard(do.merge), chosen, [said, frame.timer], **frame.quiet))
    merged.click(frame.guard(do.merged), chosen, [said, file], **frame.quiet)
    inputs = [*chosen, what, repository, private, token]
    frame.follow(push.click(frame.guard(do.push), inputs, [said, token, frame.timer], **frame.quiet))


def _list_sets() -> list[tuple[str, str]]:
    rows = [(f"training rows: {DATASETS.get(name).title}", f"rows-{name}") for name in DATASETS]
    return [("the distillation set as JSONL", "set.jsonl"), ("the distillation set as Parquet", "set.parquet"), *rows]


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
        found = self._run(project, run)
        names = self.services.export.stages(found)
        ship = next((s.report.name for s in self.services.compare.systems(found) if s.ship), None)
        return gr.Dropdown(names, value=ship if ship in names else names[-1] if names else None)

    def state(self, project: Project | None) -> str:
        """How merging and pushing went."""
        if project is None:
            return told_html(NO_PROJECT)
        return table_html(self.services.publish.made(project), "merged and pushed")

    @only_guides
    def ready(
        self, project: str, run: str | None, stage: str | None, which: str, what: str, repository: str | None
    ) -> list[Any]:
        """Which buttons can do something now, and what the others lack."""
        found = self._run(project, run) if run else None
        selected = found is not None or self.services.export.is_selected(project)
        trained = found is not None and bool(stage)
        merged = found is not None and bool(stage) and self.services.export.is_merged(found, str(stage))
        data = found is not None if which.startswith("rows-") else selected
        pushed = {"set": found is not None, "merged": merged, "adapter": trained}[what]
        lacks = []
        if not selected:
            lacks.append("Nothing is selected yet: the page Select makes the set.")
        if found is None:
            lacks.append("Rows of stages, and students, come with a run: the page Train starts one.")
        elif not self.services.export.stages(found):
            lacks.append("This run has trained no stage yet, so there is no student to take out.")
        elif not stage:
            lacks.append("Choose the stage whose student is taken out.")
        elif not merged:
            lacks.append("The merged model can be taken out or pushed once it is merged.")
        can = (data, trained, trained and not merged, merged, pushed and is_repository(repository or ""))
        return [*enable(*can), told_html(" ".join(lacks))]

    def show(self, project: str, run: str | None, stage: str | None) -> list[Any]:
        if not run or not stage:
            return ["", ""]
        found = self._run(project, run)
        card = self.services.export.card(found, stage)
        told = f"tacit serve-student {found.id[:8]} --stage {stage}"
        more = "An OpenAI-compatible server of this student, by transformers serve:"
        return [log_html(card), told_html(more) + log_html(told)]

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

    def _file(self, project: str, what: str, run: str | None, stage: str | None) -> list[Any]:
        path = self.services.export.pack(project, what, run, stage or "", self._folder(project, what, run, stage))
        size = path.stat().st_size
        return [told_html(f"{path.name}: {size / 1e6:,.1f} MB."), gr.File(str(path), visible=True)]

    def make(self, project: str, run: str | None, which: str) -> list[Any]:
        return self._file(project, which, run, None)

    def adapter(self, project: str, run: str | None, stage: str | None) -> list[Any]:
        return self._file(project, "adapter", self._run(project, run).id, _named(stage))

    def merge(self, project: str, run: str | None, stage: str | None) -> list[Any]:
        job = self.services.export.merge(self._run(project, run).id, _named(stage))
        over = job.status.over
        told = (
            "It is merged already." if over else "Merging, in float32 on the CPU; the state below says when it is done."
        )
        return [told_html(told), gr.Timer(active=True)]

    def merged(self, project: str, run: str | None, stage: str | None) -> list[Any]:
        return self._file(project, "merged", self._run(project, run).id, _named(stage))

    def push(self, project: str, run: str | None, stage: str | None, what: str, *how: Any) -> list[Any]:
        repository, private, token = how
        found = self._run(project, run)
        if token.strip():
            self.services.publish.keys.put(TOKEN, token)
        step = "" if what == "set" else _named(stage)
        self.services.publish.push(PushOrder(found.id, repository, read_what(what), step, private))
        return [told_html("Pushing; the state above says when it is done."), "", gr.Timer(active=True)]


def _named(stage: str | None) -> str:
    if not stage:
        raise InputError("Choose a stage first; this run has trained none yet if there is nothing to choose.")
    return stage
