"""The frame around every page: steps on the left, the job strip below, the project from the address."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from html import escape
from typing import Any, Literal, NamedTuple

import gradio as gr

from app.hosted_demo.policy import AccessPolicy
from app.services import Services
from app.usecases.projects.next_steps import NextStep
from app.usecases.projects.status import Mark, RunningJob
from app.web.address import ADDRESS, read_view
from app.web.fields import lay_html
from app.web.forms import Form, enter
from app.web.offers import OF_COPY, withhold
from app.web.parts.links import Link, page_url
from app.web.parts.messages import empty_html
from app.web.parts.shell import TopBar, head_html, rail_html, strip_html, topbar_html
from app.web.parts.tour import tour_html
from engine.errors import InputError, NotFound, StateError, TacitError, say_error, where_it_failed
from storage.projects import Project

TICK_S = 2.0
LEFT_OUT = (
    "What needs a key, an upload or an address is left out of this demo: install Tacit to work with your own data, "
    "teachers and keys."
)
OVER_ALL = ("Home", "Welcome", "Jobs and spend")
"""Pages that hold something where the project of the address is not to be found."""
NO_PROJECT = "Create a project first, on the page Home."
_LOG = logging.getLogger(__name__)
_NOT_OF_ONE = ("home", "jobs", "kit", "welcome")
"""Modules whose handlers don't work on the project of the address."""
_NAMED = "() => [new URLSearchParams(window.location.search).get('project') || '', window.location.search]"
"""The project that the address names, and all that it asks for."""
_ACT = """element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-cancel], [data-now]'), told = button?.dataset;
  if (button) { button.disabled = true; trigger('click', {id: told.cancel || told.now, now: 'now' in told}); }
});"""
"""For `js_on_load` of the strip: its buttons cancel jobs, or end what they wait for."""
_MOST_PROJECTS = 12
"""Projects that the switcher names; the page Home has them all."""
_VALUES = inspect.Parameter("values", inspect.Parameter.VAR_POSITIONAL)
_HELD = """
  const cookie = (document.cookie.match(/(?:^|; )KEPT=(try-[0-9a-f]+)/) || [])[1] || '';
  const held = (() => { try { return localStorage.getItem('KEPT') || cookie; } catch { return cookie; } })();
  const asked = new URLSearchParams(window.location.search).get('project');
"""
_RECALLED = f"() => {{ {_HELD} return [asked || held, window.location.search]; }}"
"""The same, else the copy that this browser was at last."""
_KEPT = (
    "(name) => {"
    + _HELD
    + """
  const keep = (name) => {
    try { name ? localStorage.setItem('KEPT', name) : localStorage.removeItem('KEPT'); } catch {
      document.cookie = `KEPT=${name}; Path=/; Max-Age=${name ? 10800 : 0}; Secure; SameSite=None; Partitioned`;
    }
  };
  if (name.startsWith('try-')) {
    keep(name);
    const here = new URL(window.location.href);
    here.searchParams.set('project', name);
    if (asked !== name) history.replaceState(history.state, '', here);
  } else if (held && (!asked || asked === held)) keep('');
}"""
)
"""Keeps the copy that is open, and forgets one that is gone. In a frame on a page from elsewhere, browsers that refuse
storage still keep a cookie for that frame in that page (CHIPS, `Partitioned`); the server reads neither."""
Visibility = Literal["private", "undocumented"]
Filler = tuple[Callable[[Project | None], Any], Sequence[Any]]


class Live(NamedTuple):
    """What fills components from the project's name and what other components hold, the first maybe in a form."""

    work: Callable[..., Any]
    inputs: Sequence[Any]
    components: Sequence[Any]
    form: Form[Any] | None = None
    viewed: bool = False
    """Whether the address is among what it depends on."""


@dataclass
class Frame:
    """What a page hangs its handlers on.

    `project` holds the current project's name ("" where there is none); it lives in the browser, so that an open tab
    goes on where the server was started again; `address` holds what else the address asks for (`app.web.address`).
    `refreshers` are functions of the project that fill components on load
    and whenever a job that ran has gone on. `visibility` is who may call handlers: only the pages do. `policy` says
    what a visitor may see and do.
    """

    services: Services
    app: gr.Blocks
    project: gr.Textbox
    address: gr.HTML
    timer: gr.Timer
    visibility: Visibility
    policy: AccessPolicy
    refreshers: list[Filler] = field(default_factory=list)
    openers: list[Filler] = field(default_factory=list)
    followed: list[Any] = field(default_factory=list)
    live: list[Live] = field(default_factory=list)

    @property
    def quiet(self) -> dict[str, Any]:
        """What every handler is bound with."""
        return {"api_visibility": self.visibility}

    def guard(self, work: Callable[..., Any], form: Form[Any] | None = None) -> Callable[..., Any]:
        """A handler that is asked for only where it may be, and whose errors become a message on the page.

        With a form, whose components stand behind the project's, the handler is given what was entered as one value.
        """

        @wraps(work)
        def run(*values: Any) -> Any:
            with errors_shown():
                if form is not None:
                    entered, others = enter(form, values[1:])
                    values = (values[0], entered, *others)
                return work(*self._admit(work, values))

        return _of_any_length(run) if form is not None else run

    def guard_stream(self, work: Callable[..., Iterator[Any]], form: Form[Any]) -> Callable[..., Iterator[Any]]:
        """As `guard` with a form, for a handler that gives values out one after the other."""

        @wraps(work)
        def run(*values: Any) -> Iterator[Any]:
            with errors_shown():
                yield from work(*self._admit(work, (values[0], enter(form, values[1:])[0])))

        return _of_any_length(run)

    def _admit(self, work: Callable[..., Any], values: Sequence[Any]) -> Sequence[Any]:
        """The values that the handler works on, if it may: the project's address stands first, its name is given."""
        module = work.__module__.rpartition(".")[2]
        self.policy.check(module, work.__name__, values)
        if not _of_one(work):
            return (self.policy.resolve(values[0]), *values[1:]) if values else values
        address = str(values[0] or "") if values else ""
        if not address:
            raise InputError(NO_PROJECT)
        name = self.policy.resolve(address)
        if self.policy.open(name) is None:
            raise NotFound(f"{_no_such(name)} Nothing was done.")
        return (name, *values[1:])

    def guard_live(self, live: Live) -> Callable[..., Any]:
        """As `guard`, for what fills components by itself: it leaves them alone where there is no such project."""
        guarded = self.guard(live.work, live.form)

        @wraps(live.work)
        def run(name: str, *values: Any) -> Any:
            if live.work.__module__.rpartition(".")[2] not in _NOT_OF_ONE and (
                not name or self.policy.find(name) is None
            ):
                return [gr.skip() for _ in live.components] if len(live.components) > 1 else gr.skip()
            return guarded(name, *values)

        return _of_any_length(run) if live.form is not None else run

    def fill_once(self, components: Sequence[Any], work: Callable[[Project | None], Any]) -> None:
        """Fill components when the page is opened, and leave them to the person from then on."""
        self.openers.append((work, components))

    def fill(self, components: Sequence[Any], work: Callable[[Project | None], Any]) -> None:
        """Fill components on load and while jobs run; `work` returns a value a component."""
        self.refreshers.append((work, components))

    def fill_live(
        self,
        components: Sequence[Any],
        inputs: Sequence[Any],
        work: Callable[..., Any],
        form: Form[Any] | None = None,
    ) -> None:
        """As `fill`, for what also depends on what a person chose: `work` is given the project's name and inputs."""
        self.live.append(Live(work, inputs, components, form))

    def fill_view(self, components: Sequence[Any], inputs: Sequence[Any], work: Callable[..., Any]) -> None:
        """As `fill_live`, and whenever the address asks for something else.

        `work` is given the project's name, the address (see `read_view`) and the inputs.
        """
        self.live.append(Live(work, [self.address, *inputs], components, viewed=True))

    def follow(self, event: Any) -> None:
        """Draw the steps and what is filled anew once this event has succeeded."""
        self.followed.append(event)

    def open(self, name: str | None) -> Project | None:
        """The project of a name, if it is there."""
        return self.policy.open(name)


def _of_any_length(run: Callable[..., Any]) -> Callable[..., Any]:
    """Say of a handler with a form that it is called with a value a component, whatever it makes of them."""
    vars(run)["__signature__"] = inspect.Signature([_VALUES])
    return run


@dataclass(frozen=True)
class PageHead:
    """What a page is called, and the line below its name."""

    title: str
    lead: str


@contextmanager
def frame(
    policy: AccessPolicy, services: Services, app: gr.Blocks, head: PageHead, visibility: Visibility
) -> Iterator[Frame]:
    """Lay a page out; its handlers are bound when the block ends."""
    gr.Navbar(visible=False)
    hidden_parts = gr.Textbox("", visible=False), lay_html("", js_on_load=ADDRESS, elem_classes="address")
    made = Frame(services, app, *hidden_parts, gr.Timer(TICK_S, active=False), visibility, policy)
    bar = lay_html(topbar_html(TopBar("", ())))
    with gr.Row(elem_classes="shell"):
        with gr.Column(min_width=0, elem_classes="shell-rail"):
            rail = lay_html(rail_html([], "", head.title))
        with gr.Column(min_width=0, elem_classes="shell-page"):
            top = lay_html(head_html(head.title, head.lead))
            note, lost = lay_html(""), lay_html("")
            with gr.Column() as body:
                yield made
                alive = [part for one in made.live for part in one.components]
                filled = [made.timer, *_parts(made.refreshers), *_parts(made.openers), *alive]
                if withhold(app, made.project.page, policy, filled):
                    gr.Markdown(LEFT_OUT)
    strip = lay_html(js_on_load=_ACT, elem_classes=OF_COPY)
    drawn = _Drawn(made, head)
    outputs = [rail, strip, made.timer, lost, body, bar, top, *_parts(made.refreshers)]

    @_spoken
    def load(name: str, address: str = "") -> list[Any]:
        project = policy.find(name)
        named, note = policy.address(project) if project else name, policy.note(name, project, head.title)
        tour = tour_html(read_view(address).tour, head.title, named)
        return [named, *drawn.draw(project, name), *drawn.fill(made.openers, project, name), tour + note]

    @_spoken
    def tick(name: str) -> list[Any]:
        return drawn.draw(policy.find(name), name)

    acted = strip.click(made.guard(drawn.act_on_shown), made.project, made.timer, show_progress="hidden", **made.quiet)
    made.follow(acted)
    opened = [made.project, *outputs, *_parts(made.openers), note]
    _bind(made, load, opened, tick, outputs)


@dataclass(frozen=True)
class _Drawn:
    """The frame's own handlers: what stands around a page, and what fills the page."""

    made: Frame
    head: PageHead

    def draw(self, project: Project | None, asked: str) -> list[Any]:
        policy, services, here = self.made.policy, self.made.services, self.head.title
        name = project.name if project else ""
        jobs = [job for job in services.standing.running() if policy.sees(name, job.project)]
        marks = policy.choose_marks(services.standing.marks(project))
        address, title = policy.address(project) if project else "", policy.title(name)
        values: list[Any] = [
            rail_html(marks, address, here, title),
            strip_html(jobs, services.standing.trouble(), name),
            gr.Timer(active=services.standing.goes_on(project, jobs)),
            _lost_html(asked) if asked and project is None else "",
            gr.Column(visible=False) if self._hidden(project, asked) else gr.skip(),
            topbar_html(self._bar(project, title, jobs)),
            head_html(here, self.head.lead, _following(marks, here, address, services.standing.next_of(project))),
        ]
        return values + self.fill(self.made.refreshers, project, asked)

    def _bar(self, project: Project | None, title: str, running: Sequence[RunningJob]) -> TopBar:
        names = self.made.policy.switchable()
        newest = list(reversed(names))[:_MOST_PROJECTS]
        spent = self.made.services.standing.spent(project) if project and names else ""
        jobs = page_url("/jobs", project.name) if project and names else "/jobs" if names else ""
        return TopBar(title, [Link(name, "/overview", name) for name in newest], running, spent, jobs)

    def _hidden(self, project: Project | None, asked: str) -> bool:
        return bool(asked) and project is None and self.head.title not in OVER_ALL

    def fill(self, fillers: Sequence[Filler], project: Project | None, asked: str) -> list[Any]:
        """What a hidden page holds is left alone, so that nothing on it wakes up."""
        return [gr.skip() for _ in _parts(fillers)] if self._hidden(project, asked) else _run(fillers, project)

    def act_on_shown(self, project: str, event: gr.EventData) -> Any:
        """Ask a job of the strip to stop, or to wait for providers no longer."""
        services, policy = self.made.services, self.made.policy
        job = next((job for job in services.standing.running() if job.id == str(event.id)), None)
        if job is None or not policy.sees(project, job.project):
            raise StateError("This job is over already.")
        services.teachers.go_on(job.project) if event.now else services.standing.cancel(job.id)
        return gr.Timer(active=True)


def _following(marks: Sequence[Mark], here: str, address: str, due: NextStep | None) -> Link | None:
    """What is to be done next by the project's rule; where that is done here, the page behind it by its name alone."""
    if due and address and due.page != here and any(mark.name == due.page for mark in marks):
        return Link(f"Next: {due.page}", due.path, address)
    steps = [mark for mark in marks if mark.step or mark.name in (here, "Overview")]
    place = next((place for place, mark in enumerate(steps) if mark.name == here), None)
    if place is None or place + 1 >= len(steps) or not address:
        return None
    return Link(steps[place + 1].name, steps[place + 1].path, address)


def _bind(
    made: Frame,
    load: Callable[[str, str], list[Any]],
    opened: Sequence[Any],
    tick: Callable[[str], list[Any]],
    outputs: Sequence[Any],
) -> None:
    """What fills a page when it is opened, while jobs run, and after an event that is followed."""
    quiet: dict[str, Any] = {"show_progress": "hidden", **made.quiet}
    kept = made.policy.limits.kept_as
    named = _RECALLED.replace("KEPT", kept) if kept else _NAMED
    loaded = made.app.load(load, [made.project, made.address], opened, js=named, **quiet)
    if kept:
        loaded.success(None, made.project, None, js=_KEPT.replace("KEPT", kept), **quiet)
    for live in made.live:
        asked = {"fn": made.guard_live(live), "inputs": [made.project, *live.inputs], "outputs": list(live.components)}
        loaded.success(**asked, **quiet)
        made.timer.tick(**asked, **quiet)
        if live.viewed:
            made.address.change(**asked, **{**quiet, "trigger_mode": "always_last"})
    for event in made.followed:
        event.success(tick, made.project, outputs, **quiet)
    made.timer.tick(tick, made.project, outputs, **quiet)


@contextmanager
def errors_shown() -> Iterator[None]:
    """Errors become a message on the page: ours in their own words, a library's in ours, with a line in the log."""
    try:
        yield
    except gr.Error:
        raise
    except TacitError as error:
        raise gr.Error(escape(str(error)), duration=None, print_exception=False) from error
    except Exception as error:  # noqa: BLE001 - whatever it is, a person is told in words
        _LOG.error("a handler failed: %s", where_it_failed(error))
        raise gr.Error(escape(say_error(error)), duration=None, print_exception=False) from None


def _spoken(work: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """As `Frame.guard`, for the frame's own handlers."""

    def run(*names: str) -> list[Any]:
        with errors_shown():
            return work(*names)

    run.__name__ = work.__name__
    return run


def _of_one(work: Callable[..., Any]) -> bool:
    """Whether a handler works on the project of the address."""
    module, parameters = work.__module__.rpartition(".")[2], inspect.signature(work).parameters
    return module not in _NOT_OF_ONE and next(iter(parameters), "") == "project"


def _no_such(name: str) -> str:
    return f"No such project: {name[:100]}. It may have been removed or renamed, or the address is misspelled."


def _lost_html(name: str) -> str:
    """What stands in the place of a page whose address names no project, with a way back."""
    return empty_html(
        "No such project", f"{_no_such(name)} Nothing is shown or changed here.", Link("To all projects", "/", "")
    )


def _parts(fillers: Sequence[Filler]) -> list[Any]:
    return [part for _, parts in fillers for part in parts]


def _run(fillers: Sequence[Filler], project: Project | None) -> list[Any]:
    values: list[Any] = []
    for work, parts in fillers:
        filled = work(project)
        values += list(filled) if len(parts) > 1 else [filled]
    return values
