"""Home: what this is, what it came to in a finished project, three ways in, and the projects there are."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.hosted_demo.shipped_project import NAME
from app.services import Services
from app.usecases.projects.results import Result
from app.usecases.projects.status import LISTED
from app.web.address import read_view
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.code import command_html
from app.web.parts.links import Link, button_html
from app.web.parts.listing import LISTING, Listing, listing_html
from app.web.parts.messages import empty_html, notice_html
from app.web.parts.projects import ACTIONS, project_cards_html
from app.web.parts.results import result_html
from app.web.parts.tour import tour_url
from engine.config import ProjectConfig, read_config
from engine.errors import InputError
from engine.tasks import DEFAULT_TASK, TASKS
from storage.projects import Project

_GO = "(name) => { window.location.href = '/data?project=' + encodeURIComponent(name); }"
_GO_LABEL = _GO.replace("/data", "/label")
_FOCUS = "() => { setTimeout(() => document.querySelector('.new-project textarea')?.focus(), 100); }"
_SHOW = "() => { setTimeout(() => document.querySelector('.act')?.scrollIntoView({block: 'nearest'}), 100); }"
_FRESH = (48, 24)
"""Queries of a fresh copy: few enough to go through all steps in minutes."""
_FILTERS = {"active": "Active", "archived": "Archived"}
_OWN = "Bring CSV, JSONL, Parquet or a Hub dataset. Gold labels are optional."
_LIVE = (
    f"A fresh project with {_FRESH[0]} queries to distill from and {_FRESH[1]} held out: label, select, train and "
    "score it yourself, in a few minutes."
)


class _Panel(NamedTuple):
    """What opens when something is to be done with one project."""

    whole: gr.Column
    title: gr.HTML
    chosen: gr.Textbox
    new_name: gr.Textbox
    duplicate: gr.Button
    runs: gr.Checkbox
    export: gr.Button
    file: gr.File


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame)
    with gr.Row(elem_classes="top first"):
        with gr.Column(scale=2, min_width=320):
            result = lay_html()
        with gr.Column(scale=1, min_width=260, elem_classes="doors"):
            demo = lay_html()
            own = gr.Button("Start with your own queries")
            lay_html(f"<p>{_OWN}</p>")
            live = gr.Button(f"Try it live: {_FRESH[0]} queries", interactive=False)
            why = lay_html()
    form = _lay_new(frame, do, own)
    source, begun = gr.Textbox(visible=False), gr.Textbox(visible=False)
    frame.fill_once([result, demo, live, why, source, form], do.show_first)
    started = live.click(frame.guard(do.begin_afresh), source, begun, **frame.quiet)
    started.success(None, begun, None, js=_GO_LABEL, **frame.quiet)
    _lay_projects(frame, do)


def _lay_new(frame: Frame, do: _Handlers, own: gr.Button) -> gr.Column:
    """The form of a new project, which opens when it is asked for or where there is no project yet."""
    with gr.Column(visible=False, elem_classes="card new-project") as form:
        lay_html("<h2>New project</h2>")
        with gr.Row():
            name = gr.Textbox(label="Project name", max_length=100, placeholder="support tickets", scale=2)
            tasks = [(TASKS.get(name).title.capitalize(), name) for name in TASKS.names()]
            task = gr.Dropdown(tasks, value=DEFAULT_TASK, label="Task", scale=2)
        with gr.Accordion("Advanced", open=False):
            embedder = gr.Dropdown(
                [("Automatic", "auto"), ("Packaged (all-MiniLM-L6-v2)", "packaged")],
                value="auto",
                label="Embedder",
                info="measures how alike two rationales are",
            )
        with gr.Row():
            create = gr.Button("Create project", variant="primary")
            close = gr.Button("Cancel")
        command = lay_html()
    for part in (name, task, embedder):
        last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
        part.change(_say_new, [name, task, embedder], command, **last)
    made = gr.Textbox(visible=False)
    opened = own.click(frame.guard(do.open_form), None, form, show_progress="hidden", **frame.quiet)
    opened.success(None, None, None, js=_FOCUS, **frame.quiet)
    close.click(frame.guard(do.close_form), None, form, show_progress="hidden", **frame.quiet)
    for event in (create.click, name.submit):
        created = event(frame.guard(do.create), [name, task, embedder], made, **frame.quiet)
        created.success(None, made, None, js=_GO, **frame.quiet)
    return form


def _lay_projects(frame: Frame, do: _Handlers) -> None:
    """The projects there are, and what is done with one as a whole."""
    lay_html("<h2>Projects</h2>")
    said = lay_html()
    with gr.Column(visible=False, elem_classes="card act") as whole:
        title, chosen = lay_html(), gr.Textbox(visible=False)
        new_name = gr.Textbox(label="Name of the copy", max_length=100, visible=False)
        runs = gr.Checkbox(False, label="With its runs and adapters", visible=False)
        file = gr.File(label="The export", visible=False, interactive=False)
        with gr.Row():
            duplicate = gr.Button("Duplicate", variant="primary", visible=False)
            export = gr.Button("Export", variant="primary", visible=False)
            close = gr.Button("Close")
    panel = _Panel(whole, title, chosen, new_name, duplicate, runs, export, file)
    listed = lay_html(js_on_load=LISTING + ACTIONS)
    with gr.Accordion("Import a project", open=False):
        brought = gr.File(label="A project exported by Tacit (.zip)", file_types=[".zip"], type="filepath")
        with gr.Row():
            other_name = gr.Textbox(
                label="Name of the import", info="empty: as it is named in the file", max_length=100
            )
            take = gr.Button("Import project", interactive=False)
    quick: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    frame.fill_view([listed], [], do.show)
    acted = listed.click(frame.guard(do.act), frame.address, [said, listed, *panel], **quick)
    acted.success(None, None, None, js=_SHOW, **frame.quiet)
    frame.follow(acted)
    close.click(frame.guard(do.close_panel), None, whole, **quick)
    export.click(frame.guard(do.export), [chosen, runs], [said, file], **frame.quiet)
    shown = [said, listed, whole]
    frame.follow(duplicate.click(frame.guard(do.duplicate), [chosen, new_name, frame.address], shown, **frame.quiet))
    brought.change(lambda file: gr.Button(interactive=bool(file)), brought, take, **quick)
    frame.follow(take.click(frame.guard(do.take), [brought, other_name, frame.address], shown, **frame.quiet))


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    frame: Frame
    exports: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    """What was exported for a download, for as long as the server runs."""

    @property
    def services(self) -> Services:
        return self.frame.services

    def show_first(self, project: Project | None) -> list[Any]:
        """The result of a finished project, the ways in that there are, and the form where nothing else is there."""
        result = self.services.results.showcase(NAME)
        button, why, source = self.afresh(project)
        bare = not self.services.projects.names()
        return [_result_html(result, bare), _door_html(result), button, why, source, gr.Column(visible=bare)]

    def afresh(self, project: Project | None) -> tuple[Any, str, str]:
        """Whether a fresh copy of the demo project, else of the open one, would be of use, and why not."""
        demo = next((one for one in self.services.projects.all() if one.name == NAME and not one.archived), None)
        source = demo if demo and not self.services.carry.afresh_hindrance(demo) else project
        reason = self.services.carry.afresh_hindrance(source) if source else "It takes a project with queries."
        text = f"<p>{escape(reason or _LIVE)}</p>"
        return gr.Button(interactive=not reason), text, source.name if source else ""

    def open_form(self) -> Any:
        return gr.Column(visible=True)

    def close_form(self) -> Any:
        return gr.Column(visible=False)

    def create(self, name: str, task: str, embedder: str) -> str:
        config = read_config(ProjectConfig, {"name": name.strip(), "task": task, "embedder": embedder})
        return self.services.data.create_project(config).name

    def begin_afresh(self, source: str) -> str:
        chosen = _named(source)
        taken = set(self.services.projects.names())
        names = (f"{chosen}, run {number}" for number in range(1, len(taken) + 2))
        return self.services.carry.begin_afresh(chosen, next(n for n in names if n not in taken), *_FRESH).name

    def show(self, project: str, address: str) -> str:
        """The projects that the address asks for, as cards."""
        view = read_view(address)
        archived = view.show == "archived"
        page = self.services.standing.page(view.search, archived, view.page)
        if not page.total and not page.archived and not view.search:
            return empty_html("No projects yet", "Name one above to begin. `tacit demo` makes a finished one.")
        cards = project_cards_html(page.cards, datetime.now(UTC))
        listing = Listing(
            rows=[{"id": card.standing.id} for card in page.cards],
            columns=[],
            view=view,
            begin=page.begin,
            total=page.total,
            size=LISTED,
            noun="project" if page.total == 1 else "projects",
            filters=_FILTERS if page.archived or archived else {},
            searched="Search projects" if page.total > LISTED or view.search else "",
            empty="No project is archived." if archived else "No project matches. Clear the search.",
        )
        return listing_html(listing, cards)

    def act(self, address: str, event: gr.EventData) -> list[Any]:
        """What a card's menu asks for: archived and restored at once, the others after a question."""
        name, act = str(event.id), str(event.act)
        if act == "archive":
            self.services.carry.archive(name)
            said = f"{name} is archived: it is out of the list, and nothing of it is lost."
            return self._closed(said, act, name, address)
        if act == "restore":
            self.services.carry.restore(name)
            return self._closed(f"{name} is back in the list.", act, name, address)
        project = self.services.projects.get(name)
        twin = act == "duplicate"
        text = (
            "The copy has the same queries, teachers, samples and decisions; no runs, and no spend."
            if twin
            else "The file holds settings, queries, labels, teachers, samples, ledger and decisions; never a key."
        )
        return [
            "",
            gr.skip(),
            gr.Column(visible=True),
            f"<h2>{act.capitalize()} {escape(project.name)}</h2><p class='quiet'>{text}</p>",
            project.name,
            gr.Textbox(f"{project.name[:95]} copy", visible=twin),
            gr.Button(visible=twin),
            gr.Checkbox(False, visible=not twin),
            gr.Button(visible=not twin),
            gr.File(visible=False),
        ]

    def _closed(self, message: str, act: str, name: str, address: str) -> list[Any]:
        said = notice_html(message) + command_html(["tacit", "projects", act, name])
        return [said, self.show("", address), gr.Column(visible=False), *[gr.skip()] * 7]

    def close_panel(self) -> Any:
        return gr.Column(visible=False)

    def _announce(self, message: str, address: str, more: str = "") -> list[Any]:
        return [notice_html(message, tone="good") + more, self.show("", address), gr.Column(visible=False)]

    def export(self, name: str | None, runs: bool = False) -> list[Any]:
        chosen = _named(name)
        safe = re.sub(r"[^\w\- ]+", "_", chosen)
        folder = Path(tempfile.mkdtemp(dir=self.exports.name))
        path = self.services.carry.export(chosen, folder / f"{safe}.tacit.zip", runs)
        more = "runs, reports and adapters; never a key." if runs else "decisions; never a key, and no runs."
        message = f"{chosen} is exported. The file holds queries, labels, teachers, samples, ledger, {more}"
        words = ["tacit", "projects", "export", chosen, path.name, *(["--with-runs"] if runs else [])]
        return [notice_html(message, tone="good") + command_html(words), gr.File(str(path), visible=True)]

    def duplicate(self, name: str | None, new_name: str, address: str) -> list[Any]:
        made = self.services.carry.duplicate(_named(name), new_name)
        message = f"{made.name} has the same queries, teachers, samples and decisions; no runs."
        command = command_html(["tacit", "projects", "duplicate", _named(name), made.name])
        return self._announce(message, address, command)

    def take(self, file: str | None, new_name: str, address: str) -> list[Any]:
        if not file:
            raise InputError("Choose a file first that Tacit exported, here or elsewhere.")
        made = self.services.carry.bring(Path(file), new_name)
        unkeyed = f" Name the key's environment variable again for {', '.join(made.unkeyed)}." if made.unkeyed else ""
        words = ["tacit", "projects", "import", Path(file).name, "--name", made.name]
        return self._announce(f"{made.name} is imported.{unkeyed}", address, command_html(words))


def _say_new(name: str, task: str, embedder: str) -> str:
    """The command that makes such a project, which it does as it imports; nothing while it has no name."""
    if not name.strip():
        return ""
    words = ["tacit", "import-queries", name.strip(), "queries.csv", "--task", task]
    return command_html([*words, *(["--embedder", embedder] if embedder != "auto" else [])])


def _named(name: str | None) -> str:
    if not name:
        raise InputError("Choose a project first.")
    return name


def _result_html(result: Result | None, bare: bool) -> str:
    if result is not None:
        return result_html(result)
    if bare:
        return empty_html(
            "Start with your own queries",
            "Name a project below, import queries, add teachers: Tacit tells the price, keeps the samples that teach, "
            "and trains a small student that answers in a few tokens.",
        )
    return empty_html(
        "No result yet",
        "Once a run is scored, its student stands here beside the best teacher: accuracy, tokens and money.",
    )


def _door_html(result: Result | None) -> str:
    if result is None:
        return ""
    name = "the finished demo" if result.project == NAME else result.project
    open_ = button_html(Link(f"Open {name}", "/overview", result.project), primary=True)
    tour = f"<a class='button' href='{escape(tour_url(1, result.project))}'>Take the tour</a>"
    return f"<div class='buttons'>{open_}{tour}</div><p>Every step done, with data, plots and verdict.</p>"
