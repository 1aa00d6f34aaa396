"""Data: is what I uploaded what I meant?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.data.previews import Preview
from app.web.choices import enable
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import Frame
from app.web.offers import only_guides
from app.web.pages import queries, traces
from app.web.parts.code import command_html
from app.web.parts.imports import commands_html_of, first_html, preview_html, samples_html, stored_html, totals_html
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.queries_form import FILE, HOLD, NONE, SHARE, Given, column_label, read_given
from engine.errors import InputError
from engine.tasks import ROLES
from engine.wording import counted
from storage.projects import Project

_PAIRS = 100
_TO_TOP = "(...values) => { window.scrollTo({top: 0, behavior: 'smooth'}); return values; }"
"""The outcome is said above the list, which may be long."""
KINDS = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt", ".gz"]


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    result, totals = lay_html(), lay_html()
    with gr.Column(visible=False) as listing:
        listed = queries.build(frame)
    with gr.Column(elem_classes="import"):
        first = lay_html()
        with gr.Accordion("Import more queries", open=False) as fold:
            parts = _lay_import()
    with gr.Accordion("Leave your provider: import its traces", open=False, visible=False) as leaving:
        brought = traces.build(frame, result, leaving)
    with gr.Accordion("Near duplicates, and leaks between the splits", open=False, visible=False) as nearness:
        with gr.Row():
            close = gr.Slider(0.5, 1, 0.95, step=0.01, label="Cosine similarity that counts as near")
            find = gr.Button("Find near duplicates", interactive=False)
        near = lay_html()

    do = _Handlers(frame, tuple(parts.columns))
    frame.fill([totals, listing, first, find, nearness, leaving], do.hold)
    frame.fill_once([fold, *parts.columns.values()], do.start)
    find.click(frame.guard(do.resemble), [frame.project, close], near, **frame.quiet)
    _bind_import(frame, do, parts, [result, fold], listed)
    shown = [frame.project, frame.address], listed.components
    brought.success(frame.guard(listed.show), *shown, js=_TO_TOP, show_progress="hidden", **frame.quiet)


@dataclass(frozen=True)
class _Import:
    """The components of an import. `said` are those that show what a file gives, `mapped` what is asked of one."""

    file: gr.File
    dataset: gr.Textbox
    look: gr.Button
    mapped: gr.Column
    columns: dict[str, gr.Dropdown]
    samples: list[gr.HTML]
    hold: gr.Radio
    share: gr.Slider
    second: gr.File
    take: gr.Button
    said: gr.HTML
    command: gr.HTML

    @property
    def form(self) -> NamedForm[Given]:
        parts = {"file": self.file, "dataset": self.dataset, "hold": self.hold, "share": self.share}
        parts |= {"second": self.second, **{column_label(role): part for role, part in self.columns.items()}}
        return NamedForm(parts, read_given)

    @property
    def shown(self) -> list[Any]:
        """What every preview draws."""
        return [*self.samples, self.said, self.command, self.take]


def _lay_import() -> _Import:
    with gr.Row(elem_classes="top"):
        file = gr.File(
            label="A file of queries", file_types=KINDS, type="filepath", height=84, elem_classes="drop", scale=3
        )
        with gr.Column(scale=2, min_width=260):
            dataset = gr.Textbox(label="Or a dataset on the Hub", placeholder="hf:openai/gsm8k:main@train")
            look = gr.Button("Preview", interactive=False)
    with gr.Column(visible=False) as mapped:
        columns, samples = {}, []
        with gr.Row(elem_classes="mapping"):
            for role in ROLES:
                with gr.Column(min_width=200):
                    columns[role] = gr.Dropdown([NONE], value=NONE, label=column_label(role))
                    samples.append(lay_html())
        with gr.Row(elem_classes="top"):
            hold = gr.Radio(list(HOLD), value=SHARE, label="Held out for scoring", scale=3, min_width=320)
            share = gr.Slider(0, 1, 0.2, step=0.05, label="Share held out", info="1: the whole file", scale=2)
            second = gr.File(
                label="A file of held-out queries",
                file_types=KINDS,
                type="filepath",
                height=84,
                elem_classes="drop",
                scale=2,
                min_width=320,
                visible=False,
            )
        take = gr.Button("Import valid rows", variant="primary", interactive=False)
    said, command = lay_html(), lay_html()
    return _Import(file, dataset, look, mapped, columns, samples, hold, share, second, take, said, command)


def _bind_import(frame: Frame, do: _Handlers, parts: _Import, outputs: list[Any], listed: queries.Listed) -> None:
    """`told` are where the outcome is said, and the fold around the import."""
    form, quiet = parts.form, {"show_progress": "hidden", **frame.quiet}
    inputs, drawn = [frame.project, *form.inputs], [parts.mapped, *parts.columns.values(), *parts.shown]
    parts.look.click(frame.guard(do.preview, form), inputs, drawn, **frame.quiet)
    arrived = [frame.project, parts.file, parts.hold, parts.share, parts.second]
    parts.file.upload(frame.guard(do.arrive), arrived, [parts.dataset, *drawn], **frame.quiet)
    cleared = [parts.file, parts.dataset, parts.second, parts.mapped, parts.said, parts.command, parts.take]
    stored = parts.take.click(frame.guard(do.store, form), inputs, [*outputs, *cleared], **frame.quiet)
    frame.follow(stored)
    stored.success(frame.guard(listed.show), [frame.project, frame.address], listed.components, js=_TO_TOP, **quiet)
    changed = [column.input for column in parts.columns.values()]
    changed += [parts.hold.input, parts.share.release, parts.second.upload, parts.second.clear]
    gr.on(changed, frame.guard(do.choose, form), inputs, [parts.share, parts.second, *parts.shown], **frame.quiet)
    parts.file.clear(frame.guard(do.forget), frame.project, drawn, **quiet)
    parts.dataset.input(lambda: gr.Button(interactive=False), None, parts.take, **quiet)
    for event in (parts.file.change, parts.dataset.change):
        event(frame.guard(do.can_look), [frame.project, parts.file, parts.dataset], parts.look, **quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do. `roles` are those that the page has a list of columns for: those of all tasks."""

    frame: Frame
    roles: tuple[str, ...]

    @property
    def services(self) -> Services:
        return self.frame.services

    def start(self, project: Project | None) -> list[Any]:
        """Open the import where there is nothing yet, without the columns that the project's task does not read."""
        read = self.services.preview.roles(project.name) if project else self.roles
        empty = project is not None and not self.services.queries.totals(project.name).total
        columns = [gr.skip() if role in read else gr.Dropdown(visible=False) for role in self.roles]
        return [gr.Accordion(open=empty), *columns]

    def hold(self, project: Project | None) -> list[Any]:
        """How many queries a project has; where it has none, what to do."""
        if project is None:
            return ["", gr.Column(visible=False), "", *enable(False), *[gr.Accordion(visible=False)] * 2]
        totals = self.services.queries.totals(project.name)
        some = totals.total > 0
        tiles, first = (totals_html(totals), "") if some else ("", first_html())
        shown = [*enable(totals.total > 1), gr.Accordion(visible=some), gr.Accordion(visible=True)]
        return [tiles, gr.Column(visible=some), first, *shown]

    def choose(self, project: str, entered: Entered[Given]) -> list[Any]:
        """The preview anew with what was chosen; nothing where there is no file to look at."""
        given = entered.read()
        asked = [gr.Slider(visible=given.hold == SHARE), gr.File(visible=given.hold == FILE)]
        if given.is_empty:
            return [*asked, *[gr.skip()] * (len(self.roles) + 3)]
        return [*asked, *self._show(project, given, self._look(project, given))]

    @only_guides
    def can_look(self, project: str, file: str | None, dataset: str | None) -> Any:
        """The button that looks at what was chosen, once something is."""
        return gr.Button(interactive=bool(file or (dataset or "").strip()))

    def forget(self, project: str) -> list[Any]:
        """What the page shows without a file."""
        columns = [gr.Dropdown([NONE], value=NONE) for _ in self.roles]
        return [gr.Column(visible=False), *columns, *[""] * len(self.roles), "", "", gr.Button(interactive=False)]

    def preview(self, project: str, given: Entered[Given]) -> list[Any]:
        return self._preview(project, given.read())

    def arrive(self, project: str, file: str, hold: str, share: float, second: str | None) -> list[Any]:
        given = {"file": file, "dataset": "", "hold": hold, "share": share, "second": second}
        return [gr.Textbox(""), *self._preview(project, read_given(given))]

    def _preview(self, project: str, given: Given) -> list[Any]:
        preview = self._look(project, given)
        columns, choices = preview.columns, [NONE, *preview.names]
        drawn = [gr.Dropdown(choices, value=columns.get(role) or NONE, visible=role in columns) for role in self.roles]
        return [gr.Column(visible=True), *drawn, *self._show(project, given, preview)]

    def _look(self, project: str, given: Given) -> Preview:
        return self.services.preview.look(project, given.source, given.columns, given.held_share)

    def _look_second(self, project: str, given: Given) -> Preview | None:
        """The second file by the same columns, those that it has no such column for by their usual names."""
        if given.second_source is None:
            return None
        return self.services.preview.look(project, given.second_source, given.columns, 1.0)

    def _show(self, project: str, given: Given, preview: Preview) -> list[Any]:
        second = self._look_second(project, given)
        samples = [samples_html(preview, role, ROLES[role].help) for role in self.roles]
        missing = given.hold == FILE and second is None
        good = preview.good > 0 and not missing and (second is None or second.good > 0)
        said = preview_html(preview, second)
        said += notice_html("Drop the file of held-out queries above.", tone="warn") if missing else ""
        command = "" if preview.asked or missing else commands_html_of(project, given, preview, second)
        return [*samples, said, command, gr.Button(interactive=good)]

    def store(self, project: str, entered: Entered[Given]) -> list[Any]:
        """Import; a file of held-out queries goes first, so that what both files hold stays held out."""
        given, data, held_html = entered.read(), self.services.data, ""
        second = self._look_second(project, given)
        if second is not None and given.second_source is not None:
            columns = {role: name or "" for role, name in second.columns.items()}
            held_html = stored_html(data.import_queries(project, given.second_source, columns, 1.0), "Held-out file")
        try:
            result = data.import_queries(project, given.source, given.columns, given.held_share)
        except InputError as error:
            if not held_html:
                raise
            return _stored(held_html + notice_html(f"Of the other file: {error}", bad=True))
        return _stored(stored_html(result, "Queries" if held_html else "") + held_html)

    def resemble(self, project: str, threshold: float) -> str:
        pairs = self.services.resemble.find(project, threshold)
        leaks = sum(pair.leak for pair in pairs)
        verb = "is" if len(pairs) == 1 else "are"
        summary = f"{counted(len(pairs), 'pair')} {verb} that close, {leaks:,} of them across the splits (a leak)."
        shown = [
            {"cosine": pair.similarity, "query": pair.first, "and": pair.second, "": "leak" if pair.leak else ""}
            for pair in pairs[:_PAIRS]
        ]
        more = f" The closest {_PAIRS} are shown; `tacit duplicates` lists all." if len(pairs) > _PAIRS else ""
        command = command_html(["tacit", "duplicates", project, "--threshold", f"{threshold:g}"])
        return notice_html(summary + more, tone="bad" if leaks else "") + table_html(shown) + command


def _stored(said: str) -> list[Any]:
    """The outcome, and the import as it was before a file came."""
    file, nothing = gr.File(None), gr.Column(visible=False)
    return [said, gr.Accordion(open=False), file, "", gr.File(None), nothing, "", "", gr.Button(interactive=False)]
