"""The part of Save about gateways: one that the page starts, and what all of the project came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.usecases.evaluation.comparisons import Terms
from app.usecases.labelling.label import read_money
from app.usecases.serving.child import ChildState
from app.usecases.serving.savings import SaveOrder
from app.web.choices import read_number
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import Frame, Live
from app.web.parts.gateway import key_html, state_html, use_html
from app.web.parts.messages import notice_html
from app.web.parts.meters import meters_html
from engine.wording import counted
from storage.projects import Project
from storage.runs import Run

_METER_S = 2.0
Form = NamedForm[tuple[SaveOrder, Terms]]


def build(frame: Frame, form: Form, run: gr.Dropdown) -> None:
    """Lay it out behind the page's form, and bind its handlers.

    A gateway is started only where whoever looks at the page sits at this machine.
    """
    do = _Handlers(frame)
    serves = frame.policy.limits.servers
    lay_html("<h2>Serve it</h2>" if serves else "")
    state, key, use = (lay_html() for _ in range(3))
    own = _lay_own() if serves else None
    meters, imported = lay_html(), lay_html()
    take_in = gr.Button("Import logged queries", visible=False)
    timer = gr.Timer(_METER_S, active=False)
    shown = [meters, take_in, timer]
    quiet: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
    frame.fill_once(shown, do.open_meters)
    timer.tick(frame.guard_live(Live(do.read_meters, [], shown)), frame.project, shown, **quiet)
    taken = take_in.click(frame.guard(do.take_in), frame.project, imported, **frame.quiet)
    taken.success(frame.guard(do.read_meters), frame.project, shown, **quiet)
    if own is None:
        return
    port, budget, start, stop = own
    stands = [state, key, use, start, stop, port, budget]
    frame.fill_once(stands, do.open_state)
    timer.tick(frame.guard_live(Live(do.read_state, [], stands)), frame.project, stands, **quiet)
    asked = [frame.project, *form.inputs, run, port, budget]
    started = start.click(frame.guard(do.start, form), asked, [*stands, timer], **frame.quiet)
    started.success(frame.guard(do.read_meters), frame.project, shown, **quiet)
    ended = stop.click(frame.guard(do.stop), frame.project, stands, **frame.quiet)
    ended.success(frame.guard(do.read_meters), frame.project, shown, **quiet)


def _lay_own() -> tuple[gr.Textbox, gr.Textbox, gr.Button, gr.Button]:
    """Port and budget, and the buttons that start and stop the studio's own gateway."""
    with gr.Row():
        port = gr.Textbox(label="Port", placeholder="any free one", max_length=5, min_width=140)
        budget = gr.Textbox(label="Teacher budget (US $)", placeholder="no limit", max_length=20, min_width=140)
        start = gr.Button("Start gateway", scale=0, min_width=150)
        stop = gr.Button("Stop gateway", variant="stop", scale=0, min_width=150, visible=False)
    return port, budget, start, stop


@dataclass(frozen=True)
class _Handlers:
    """What its events do; each is given the project first."""

    frame: Frame

    @property
    def services(self) -> Any:
        """The use cases."""
        return self.frame.services

    def open_meters(self, project: Project | None) -> list[Any]:
        """As `read_meters`."""
        return self.read_meters(project.name) if project else ["", gr.Button(visible=False), gr.Timer(active=False)]

    def read_meters(self, project: str) -> list[Any]:
        """What the project's gateways came to, what can be taken in of them, and whether to look again."""
        meters, waiting = self.services.gateway.meters(project), self.services.gateway.waiting(project)
        button = gr.Button(f"Import {counted(waiting, 'logged query', 'logged queries')}", visible=bool(waiting))
        runs = self.frame.policy.limits.servers and self.services.child_gateway.look(project).runs
        head = "<h2>Gateways</h2>" if meters else ""
        return [head + meters_html(meters), button, gr.Timer(active=bool(meters) or runs)]

    def take_in(self, project: str) -> str:
        """Make what callers asked new queries of the project."""
        taken = self.services.gateway.take_queries(project)
        had = f" {counted(taken.had, 'query was', 'queries were')} there already." if taken.had else ""
        lost = f" {counted(taken.damaged, 'line')} could not be read." if taken.damaged else ""
        return notice_html(
            f"{counted(taken.new, 'query', 'queries')} imported to distill from.{had}{lost}", tone="good"
        )

    def open_state(self, project: Project | None) -> list[Any]:
        """As `read_state`."""
        return self._draw(self.services.child_gateway.look(project.name) if project else ChildState("none"))

    def read_state(self, project: str) -> list[Any]:
        """How the gateway stands that the studio started."""
        return self._draw(self.services.child_gateway.look(project))

    def _draw(self, state: ChildState, key: str = "") -> list[Any]:
        """`key`: a new one, which stays on the page as long as its gateway runs."""
        return [
            state_html(state),
            key_html(key) if key else gr.skip() if state.runs else "",
            use_html(state),
            gr.Button(visible=not state.runs),
            gr.Button(visible=state.runs),
            gr.Textbox(visible=not state.runs),
            gr.Textbox(visible=not state.runs),
        ]

    def start(
        self, project: str, entered: Entered[tuple[SaveOrder, Terms]], run: str | None, port: str | None, budget: str
    ) -> list[Any]:
        """Start a gateway on the policy that the page shows, and tell its key."""
        run_record: Run = self.services.reading.run_of(project, run)
        number, most = read_number(port, "Port", 1, 65_535, whole=True), read_money(budget)
        saving = self.services.save.read(run_record, *entered.read())
        policy = self.services.save.policy(run_record, saving)
        key = self.services.child_gateway.start(project, policy, int(number or 0), most)
        state = self.services.child_gateway.look(project)
        return [*self._draw(state, key), gr.Timer(active=True)]

    def stop(self, project: str) -> list[Any]:
        """Stop it; its key is forgotten."""
        self.services.child_gateway.stop(project)
        return self._draw(self.services.child_gateway.look(project))
