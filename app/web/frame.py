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

from app.hosted_demo.policy import Policy
from app.services import Services
from app.web.forms import Form, enter
from app.web.offers import withhold
from app.web.parts import Link, guide_html, rail_html, strip_html
from engine.errors import InputError, NotFound, TacitError, say_error, where_it_failed
from storage.projects import Project

TICK_S = 2.0
LEFT_OUT = (
    "What needs a key, an upload or an address is left out of this demo: install Tacit to work with your own data, "
    "teachers and keys."
)
OVER_ALL = ("Projects", "Welcome", "Jobs and spend")
"""Pages that hold something where the project of the address is not to be found."""
NO_PROJECT = "Make a project first, on the page Projects."
_LOG = logging.getLogger(__name__)
_NOT_OF_ONE = ("projects", "jobs", "welcome")
"""Modules whose handlers don't work on the project of the address."""
_NAMED = "() => new URLSearchParams(window.location.search).get('project') || ''"
"""The project that the address names."""
_VALUES = inspect.Parameter("values", inspect.Parameter.VAR_POSITIONAL)
_HELD = """
  const cookie = (document.cookie.match(/(?:^|; )KEPT=(try-[0-9a-f]+)/) || [])[1] || '';
  const held = (() => { try { return localStorage.getItem('KEPT') || cookie; } catch { return cookie; } })();
  const asked = new URLSearchParams(window.location.search).get('project');
"""
_RECALLED = f"() => {{ {_HELD} return asked || held; }}"
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


@dataclass
class Frame:
    """What a page hangs its handlers on.

    `project` holds the current project's name ("" where there is none); it lives in the browser, so that an open tab
    goes on where the server was started again. `refreshers` are functions of the project that fill components on load
    and whenever a job that ran has gone on. `visibility` is who may call handlers: only the pages do. `policy` says
    what a visitor may see and do.
    """

    services: Services
    app: gr.Blocks
    project: gr.Textbox
    timer: gr.Timer
    visibility: Visibility
    policy: Policy
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

    def guard_stream(self, work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """As `guard`, for a handler that gives values out one after the other."""

        @wraps(work)
        def run(*values: Any) -> Iterator[Any]:
            with errors_shown():
                yield from work(*self._admit(work, values))

        return run

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


@contextmanager
def frame(policy: Policy, services: Services, app: gr.Blocks, here: str, visibility: Visibility) -> Iterator[Frame]:
    """Lay a page out; its handlers are bound when the block ends."""
    gr.Navbar(visible=False)
    made = Frame(services, app, gr.Textbox("", visible=False), gr.Timer(TICK_S, active=False), visibility, policy)
    with gr.Row(elem_classes="body-row"):
        with gr.Column(scale=1, min_width=240):
            rail = gr.HTML(rail_html([], "", here), padding=False)
        with gr.Column(scale=5, min_width=320):
            note, lost = gr.HTML("", padding=False), gr.HTML("", padding=False)
            with gr.Column() as body:
                yield made
                alive = [part for one in made.live for part in one.components]
                filled = [made.timer, *_parts(made.refreshers), *_parts(made.openers), *alive]
                if withhold(app, made.project.page, policy, filled):
                    gr.Markdown(LEFT_OUT)
    strip = gr.HTML("", padding=False)
    outputs = [rail, strip, made.timer, lost, body, *_parts(made.refreshers)]

    def draw(project: Project | None, asked: str) -> list[Any]:
        name = project.name if project else ""
        jobs = [job for job in services.standing.running() if policy.sees(name, job.project)]
        marks = policy.choose_marks(services.standing.marks(project))
        address = policy.address(project) if project else ""
        rail, strip = rail_html(marks, address, here, policy.title(name)), strip_html(jobs, services.standing.trouble())
        values: list[Any] = [rail, strip]
        values.append(gr.Timer(active=services.standing.goes_on(project, jobs)))
        values.append(_lost_html(asked) if asked and project is None else "")
        values.append(gr.Column(visible=False) if hidden(project, asked) else gr.skip())
        return values + fill(made.refreshers, project, asked)

    def hidden(project: Project | None, asked: str) -> bool:
        return bool(asked) and project is None and here not in OVER_ALL

    def fill(fillers: Sequence[Filler], project: Project | None, asked: str) -> list[Any]:
        """What a hidden page holds is left alone, so that nothing on it wakes up."""
        return [gr.skip() for _ in _parts(fillers)] if hidden(project, asked) else _run(fillers, project)

    @_spoken
    def load(name: str) -> list[Any]:
        project = policy.find(name)
        address, message = policy.address(project) if project else name, policy.note(name, project, here)
        return [address, *draw(project, name), *fill(made.openers, project, name), message]

    @_spoken
    def tick(name: str) -> list[Any]:
        return draw(policy.find(name), name)

    opened = [made.project, *outputs, *_parts(made.openers), note]
    _bind(made, load, opened, tick, outputs)


def _bind(
    made: Frame,
    load: Callable[[str], list[Any]],
    opened: Sequence[Any],
    tick: Callable[[str], list[Any]],
    outputs: Sequence[Any],
) -> None:
    """What fills a page when it is opened, while jobs run, and after an event that is followed."""
    quiet: dict[str, Any] = {"show_progress": "hidden", **made.quiet}
    kept = made.policy.limits.kept_as
    named = _RECALLED.replace("KEPT", kept) if kept else _NAMED
    loaded = made.app.load(load, made.project, opened, js=named, **quiet)
    if kept:
        loaded.success(None, made.project, None, js=_KEPT.replace("KEPT", kept), **quiet)
    for live in made.live:
        asked = {"fn": made.guard_live(live), "inputs": [made.project, *live.inputs], "outputs": list(live.components)}
        loaded.success(**asked, **quiet)
        made.timer.tick(**asked, **quiet)
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


def _spoken(work: Callable[[str], list[Any]]) -> Callable[[str], list[Any]]:
    """As `Frame.guard`, for the frame's own handlers."""

    def run(name: str) -> list[Any]:
        with errors_shown():
            return work(name)

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
    return guide_html(f"{_no_such(name)} Nothing is shown or changed here.", Link("To all projects", "/", ""))


def _parts(fillers: Sequence[Filler]) -> list[Any]:
    return [part for _, parts in fillers for part in parts]


def _run(fillers: Sequence[Filler], project: Project | None) -> list[Any]:
    values: list[Any] = []
    for work, parts in fillers:
        filled = work(project)
        values += list(filled) if len(parts) > 1 else [filled]
    return values
