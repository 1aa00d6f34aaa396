"""The frame around every page: steps on the left, the job strip below, the project from the address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from html import escape
from typing import Any, Literal, NamedTuple

import gradio as gr

from app.services import Services
from app.view import rail_html, strip_html
from engine.errors import TacitError
from storage.projects import Project

TICK_S = 2.0
_NAMED = "() => new URLSearchParams(window.location.search).get('project') || ''"
"""The project that the address names."""
Visibility = Literal["private", "undocumented"]
Filler = tuple[Callable[[Project | None], Any], Sequence[Any]]


class Live(NamedTuple):
    """What fills components from the project's name and what other components hold."""

    work: Callable[..., Any]
    inputs: Sequence[Any]
    components: Sequence[Any]


@dataclass
class Frame:
    """What a page hangs its handlers on.

    `project` holds the current project's name ("" where there is none); it lives in the browser, so that an open tab
    goes on where the server was started again. `refreshers` are functions of the project that fill components on load
    and whenever a job that ran has gone on. `visibility` is who may call handlers: only the pages do.
    """

    services: Services
    app: gr.Blocks
    project: gr.Textbox
    timer: gr.Timer
    visibility: Visibility
    refreshers: list[Filler] = field(default_factory=list)
    openers: list[Filler] = field(default_factory=list)
    followed: list[Any] = field(default_factory=list)
    live: list[Live] = field(default_factory=list)

    @property
    def quiet(self) -> dict[str, Any]:
        """What every handler is bound with."""
        return {"api_visibility": self.visibility}

    def fill_once(self, components: Sequence[Any], work: Callable[[Project | None], Any]) -> None:
        """Fill components when the page is opened, and leave them to the person from then on."""
        self.openers.append((work, components))

    def fill(self, components: Sequence[Any], work: Callable[[Project | None], Any]) -> None:
        """Fill components on load and while jobs run; `work` returns a value a component."""
        self.refreshers.append((work, components))

    def fill_live(self, components: Sequence[Any], inputs: Sequence[Any], work: Callable[..., Any]) -> None:
        """As `fill`, for what also depends on what a person chose: `work` is given the project's name and inputs."""
        self.live.append(Live(work, inputs, components))

    def follow(self, event: Any) -> None:
        """Draw the steps and what is filled anew once this event has succeeded."""
        self.followed.append(event)

    def open(self, name: str | None) -> Project | None:
        """The project of a name, if it is there."""
        return self.services.standing.find_project(name)


@contextmanager
def frame(services: Services, app: gr.Blocks, here: str, visibility: Visibility) -> Iterator[Frame]:
    """Lay a page out; its handlers are bound when the block ends."""
    gr.Navbar(visible=False)
    made = Frame(services, app, gr.Textbox("", visible=False), gr.Timer(TICK_S, active=False), visibility)
    with gr.Row(elem_classes="body-row"):
        with gr.Column(scale=1, min_width=240):
            rail = gr.HTML(rail_html([], "", here), padding=False)
        with gr.Column(scale=5, min_width=320):
            yield made
    strip = gr.HTML("", padding=False)
    outputs = [rail, strip, made.timer, *_parts(made.refreshers)]

    def draw(project: Project | None) -> list[Any]:
        jobs = services.standing.running()
        name = project.name if project else ""
        values: list[Any] = [rail_html(services.standing.marks(project), name, here), strip_html(jobs)]
        values.append(gr.Timer(active=bool(jobs)))
        return values + _run(made.refreshers, project)

    def load(name: str) -> list[Any]:
        project = services.standing.find_project(name)
        return [project.name if project else "", *draw(project), *_run(made.openers, project)]

    def tick(name: str) -> list[Any]:
        return draw(services.standing.find_project(name))

    opened = [made.project, *outputs, *_parts(made.openers)]
    quiet: dict[str, Any] = {"show_progress": "hidden", **made.quiet}
    loaded = app.load(load, made.project, opened, js=_NAMED, **quiet)
    for live in made.live:
        asked = {"fn": guard(live.work), "inputs": [made.project, *live.inputs], "outputs": list(live.components)}
        loaded.success(**asked, **quiet)
        made.timer.tick(**asked, **quiet)
    for event in made.followed:
        event.success(tick, made.project, outputs, **quiet)
    made.timer.tick(tick, made.project, outputs, **quiet)


def _parts(fillers: Sequence[Filler]) -> list[Any]:
    return [part for _, parts in fillers for part in parts]


def _run(fillers: Sequence[Filler], project: Project | None) -> list[Any]:
    values: list[Any] = []
    for work, parts in fillers:
        found = work(project)
        values += list(found) if len(parts) > 1 else [found]
    return values


def guard_stream(work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """As `guard`, for a handler that gives values out one after the other."""

    @wraps(work)
    def run(*values: Any) -> Iterator[Any]:
        try:
            yield from work(*values)
        except TacitError as error:
            raise gr.Error(escape(str(error)), duration=None, print_exception=False) from error

    return run


def guard(work: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose expected errors become a message on the page instead of a stack trace."""

    @wraps(work)
    def run(*values: Any) -> Any:
        try:
            return work(*values)
        except TacitError as error:
            raise gr.Error(escape(str(error)), duration=None, print_exception=False) from error

    return run
