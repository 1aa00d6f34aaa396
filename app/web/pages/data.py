"""Data: is what I uploaded what I meant?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from pydantic import Field

from app.services import Services
from app.usecases.data.previews import Preview
from app.usecases.data.words import tell_paraphrases, tell_queries, tell_spans
from app.web.choices import enable
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import only_guides
from app.web.pages import queries
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.plots import lengths as length_plot
from engine.config import Config, read_config
from engine.errors import InputError
from engine.hub import HUB
from engine.tasks import ROLES
from engine.wording import counted
from storage.projects import Project

_COLUMN = "column of "
_NONE = "- none -"
_PAIRS = 100
_SHOWN = 5
"""Components that show what a file gives."""
KINDS = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt", ".gz"]


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    services = frame.services
    totals = lay_html()
    queries.build(frame)
    with gr.Row():
        file = gr.File(label="A file of queries", file_types=KINDS, type="filepath")
        dataset = gr.Textbox(label="or a dataset of the Hub", placeholder="hf:openai/gsm8k:main@train")
    with gr.Row():
        columns = {role: gr.Dropdown([_NONE], value=_NONE, label=f"{_COLUMN}{role}") for role in ROLES}
    with gr.Row():
        share = gr.Slider(0, 1, 0.2, step=0.05, label="share held out for scoring, by hash (1: the whole file)")
        look = gr.Button("Look at it", variant="secondary", interactive=False)
        take = gr.Button("Take the good rows", variant="primary", interactive=False)
    said = lay_html()
    with gr.Row():
        rows = lay_html()
        lengths = gr.Plot(label="length of queries", visible=False, min_width=320)
    errors = lay_html()
    with gr.Accordion("Near duplicates among the project's queries, and leaks between the splits", open=False):
        with gr.Row():
            close = gr.Slider(0.5, 1, 0.95, step=0.01, label="cosine similarity that counts as near")
            find = gr.Button("Find them", interactive=False)
        near = lay_html()
    shown = [said, rows, lengths, errors, take]

    frame.fill([totals, find], lambda project: _hold(services, project))
    do = _Handlers(frame, tuple(columns))
    parts = {"file": file, "dataset": dataset, "share": share}
    parts |= {f"{_COLUMN}{role}": part for role, part in columns.items()}
    form = NamedForm(parts, _read_given)
    inputs, drawn = [frame.project, *form.inputs], [*columns.values(), *shown]
    frame.fill_once(list(columns.values()), do.show_roles)
    look.click(frame.guard(do.preview, form), inputs, drawn, **frame.quiet)
    file.upload(frame.guard(do.arrive), [frame.project, file, share], [dataset, *drawn], **frame.quiet)
    frame.follow(take.click(frame.guard(do.store, form), inputs, [said, totals, find, take], **frame.quiet))
    find.click(frame.guard(do.resemble), [frame.project, close], near, **frame.quiet)
    for column in columns.values():
        column.input(frame.guard(do.choose, form), inputs, shown, **frame.quiet)
    file.clear(frame.guard(do.forget), frame.project, drawn, show_progress="hidden", **frame.quiet)
    for changed in (dataset.input, share.input):
        changed(lambda: gr.Button(interactive=False), None, take, show_progress="hidden", **frame.quiet)
    for changed in (file.change, dataset.change):
        changed(frame.guard(do.can_look), [frame.project, file, dataset], look, show_progress="hidden", **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do. `roles` are those that the page has a list of columns for: those of all tasks."""

    frame: Frame
    roles: tuple[str, ...]

    def show_roles(self, project: Project | None) -> list[Any]:
        """Hide the lists of columns that the project's task does not read."""
        read = self.frame.services.preview.roles(project.name) if project else self.roles
        return [gr.skip() if role in read else gr.Dropdown(visible=False) for role in self.roles]

    def choose(self, project: str, entered: Entered[Given]) -> list[Any]:
        """The preview anew with the columns that were chosen; nothing where there is no file to look at."""
        given = entered.read()
        return [gr.update()] * _SHOWN if given.is_empty else _draw(self._look(project, given))

    @only_guides
    def can_look(self, project: str, file: str | None, dataset: str | None) -> Any:
        """The button that looks at what was chosen, once something is."""
        return gr.Button(interactive=bool(file or (dataset or "").strip()))

    def forget(self, project: str) -> list[Any]:
        """What the page shows without a file."""
        columns = [gr.Dropdown([_NONE], value=_NONE) for _ in self.roles]
        return [*columns, "", "", gr.Plot(visible=False), "", gr.Button(interactive=False)]

    def preview(self, project: str, given: Entered[Given]) -> list[Any]:
        return self._preview(project, given.read())

    def _preview(self, project: str, given: Given) -> list[Any]:
        preview = self._look(project, given)
        columns, choices = preview.columns, [_NONE, *preview.names]
        drawn = [gr.Dropdown(choices, value=columns.get(role) or _NONE, visible=role in columns) for role in self.roles]
        return [*drawn, *_draw(preview)]

    def _look(self, project: str, given: Given) -> Preview:
        return self.frame.services.preview.look(project, given.source, given.columns, given.share)

    def store(self, project: str, entered: Entered[Given]) -> list[Any]:
        given = entered.read()
        result = self.frame.services.data.import_queries(project, given.source, given.columns, given.share)
        errors = table_html([{"row": e.row, "what is wrong": e.message} for e in result.errors[:20]], "left out")
        notes = table_html([{"row": n.row, "what is wrong": n.message} for n in result.notes[:20]], "taken in part")
        shown = notice_html(" ".join(tell_queries(result)), bad=bool(result.broke_off)) + errors + notes
        return [shown, *_hold(self.frame.services, self.frame.open(project)), gr.Button(interactive=False)]

    def resemble(self, project: str, threshold: float) -> str:
        pairs = self.frame.services.resemble.find(project, threshold)
        leaks = sum(pair.leak for pair in pairs)
        verb = "is" if len(pairs) == 1 else "are"
        summary = f"{counted(len(pairs), 'pair')} {verb} that close, {leaks:,} of them across the splits (a leak)."
        shown = [
            {"": "leak" if pair.leak else "", "cosine": pair.similarity, "query": pair.first, "and": pair.second}
            for pair in pairs[:_PAIRS]
        ]
        more = f" The closest {_PAIRS} are shown; `tacit duplicates` lists all." if len(pairs) > _PAIRS else ""
        return notice_html(summary + more, bad=leaks > 0) + table_html(shown)

    def arrive(self, project: str, file: str, share: float) -> list[Any]:
        return [gr.Textbox(""), *self._preview(project, Given(file=file, share=share))]


class Given(Config):
    """What is to be imported: a file or a dataset of the Hub, which column is what, and the share that is held out.

    `columns` is the mapping that the page shows; empty: nothing was looked at yet, and columns are guessed.
    """

    file: str | None = None
    dataset: str = ""
    share: float = Field(0.0, ge=0, le=1)
    columns: dict[str, str] = Field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not self.file and not self.dataset

    @property
    def source(self) -> str | Path:
        """What is read.

        Raises:
            InputError: if there is nothing.
        """
        if self.dataset:
            return self.dataset if self.dataset.startswith(HUB) else f"{HUB}{self.dataset}"
        if self.file:
            return Path(self.file)
        raise InputError("Drop a file first, or name a dataset of the Hub.")


def _read_given(named: dict[str, Any]) -> Given:
    names = {part.removeprefix(_COLUMN): name for part, name in named.items() if part.startswith(_COLUMN)}
    chosen = any(name and name != _NONE for name in names.values())
    columns = {role: "" if name == _NONE else name for role, name in names.items() if name} if chosen else {}
    given = {"file": named["file"], "dataset": (named["dataset"] or "").strip(), "share": named["share"]}
    return read_config(Given, {**given, "columns": columns})


def _hold(services: Services, project: Project | None) -> list[Any]:
    """How many queries a project has, and the button that compares them."""
    if project is None:
        return [notice_html(NO_PROJECT), *enable(False)]
    counts = services.data.counts(project)
    distill, heldout = counts.get("distill", 0), counts.get("heldout", 0)
    queries = counted(distill, "query", "queries")
    message = notice_html(f"{project.name} has {queries} to distill from and {heldout:,} held out.")
    return [message, *enable(distill + heldout > 1)]


def _draw(preview: Preview) -> list[Any]:
    if preview.asked:
        message = notice_html(f"{preview.asked} Choose it above, and the others that the file has.", bad=True)
        rows = table_html(preview.rows, "first rows of the file")
        return [message, rows, gr.Plot(visible=False), "", gr.Button(interactive=False)]
    part = f" (of the first {preview.looked_at:,} rows)" if preview.partly else ""
    ready = f"{counted(preview.good, 'query', 'queries')} ready{part}"
    need = f"{counted(preview.bad, 'row')} {'needs' if preview.bad == 1 else 'need'} you"
    lines = [
        f"{ready} · {need} · {counted(preview.duplicates, 'duplicate')}",
        *tell_spans(preview.spanning, preview.spans),
        *tell_paraphrases(preview.paraphrases),
    ]
    lines += [f"{counted(preview.noted, 'row')} will be taken in part."] if preview.noted else []
    lines += [f"The file can't be read to its end: {preview.broke_off}."] if preview.broke_off else []
    errors = [{"row": error.row, "what is wrong": error.message} for error in preview.errors]
    notes = [{"row": note.row, "what is wrong": note.message} for note in preview.notes]
    return [
        "".join(notice_html(line, bad=not preview.good or line.startswith("The file can't")) for line in lines),
        table_html(preview.rows, "first rows, as a teacher will see them"),
        gr.Plot(length_plot(preview.lengths, preview.unit), visible=bool(preview.lengths)),
        table_html(errors, "rows that need you: they are left out") + table_html(notes, "rows that are taken in part"),
        gr.Button(interactive=preview.good > 0),
    ]
