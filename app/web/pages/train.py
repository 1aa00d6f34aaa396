"""Train: what will run, and is it learning?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from app.services import Services
from app.usecases.training.plans import plan_notes
from app.web.choices import enable, run_name
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.pages import runs
from app.web.pages.orders import NOBODY, lay_order, order_words
from app.web.parts.code import command_html
from app.web.parts.links import Link
from app.web.parts.messages import guide_html, notice_html
from app.web.parts.pipeline import pipeline_html
from app.web.parts.tables import table_html
from app.web.parts.tiles import Tile, tiles_html
from engine.errors import InputError, NotFound, StateError, TacitError
from engine.forecasts import Forecast
from engine.plans import PLANS, Plan
from engine.plans.order import PlanOrder
from engine.wording import counted, say_span
from storage.projects import Project

_TO_NEWEST = "() => { window.tacitView && window.tacitView({open: '', page: '', q: '', show: '', sort: ''}, true); }"
"""What is started is shown: the address names no other run any more."""


_UNSELECTED = "Nothing is selected in this project yet. Select samples on the page Select first."


class _New(NamedTuple):
    """The components of a new run."""

    order: NamedForm[PlanOrder]
    start: gr.Button
    measure: gr.Button
    said: gr.HTML
    lacking: gr.HTML
    drawn: gr.HTML
    forecast: gr.HTML
    name: gr.Textbox
    command: gr.HTML


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    top = runs.lay_list()
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=2, min_width=320, visible=False) as whole:
            one = runs.lay_run()
        with gr.Column(scale=1, min_width=320, elem_classes="new-run"):
            new = _lay_new(frame)
    many = runs.lay_compare()
    redraw = runs.bind(frame, top, whole, one, many)
    _bind_new(frame, new, top, many, redraw)


def _lay_new(frame: Frame) -> _New:
    """What is asked of a new run, the buttons that start and measure it, and the plan as it will run."""
    lay_html("<h2>New run</h2>")
    between: list[Any] = []

    def lay_between() -> None:
        between.append(gr.Textbox(label="Name of the run", placeholder="its number if empty", max_length=80))
        between.append(lay_html())
        with gr.Row():
            between.append(gr.Button("Start training", variant="primary", interactive=False))
            between.append(gr.Button("Forecast", interactive=False))
        between.extend((lay_html(), lay_html(), lay_html()))

    order = lay_order(frame.policy.limits.preset, lay_between)
    name, lacking, start, measure, said, forecast, drawn = between
    return _New(order, start, measure, said, lacking, drawn, forecast, name, lay_html())


def _bind_new(
    frame: Frame, new: _New, top: runs.ListParts, many: runs.CompareParts, redraw: Callable[[Any], None]
) -> None:
    do, order = _Handlers(frame), new.order
    asked = [frame.project, *order.inputs]
    planned = [new.lacking, new.drawn, new.forecast, new.command, new.measure, new.start]
    frame.fill_once([order.parts["compressor"], *planned], do.open)
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    for part in order.inputs:
        part.input(frame.guard(do.plan, order), [*asked, new.name], planned, **last)
    new.name.input(frame.guard(do.command, order), [*asked, new.name], new.command, **last)
    new.measure.click(frame.guard(do.ask_forecast, order), asked, [new.said, frame.timer], **frame.quiet)
    frame.fill_live([new.drawn, new.forecast], order.inputs, do.show_forecast, order)
    outputs = [new.said, many.compared, frame.timer]
    started = new.start.click(frame.guard(do.start, order), [*asked, new.name], outputs, **frame.quiet)
    redraw(started)
    started.success(None, None, None, js=_TO_NEWEST, **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the events of the form do; each is given the project first."""

    frame: Frame

    @property
    def services(self) -> Services:
        return self.frame.services

    def _plan(self, project: str, order: Entered[PlanOrder]) -> Plan:
        return self.services.plan.make(project, order.read())

    def open(self, project: Project | None) -> list[Any]:
        """The form as it begins; a live teacher is asked for only where recordings are to be compressed."""
        if project is None:
            return [gr.skip(), notice_html(NO_PROJECT), "", "", "", *enable(False, False)]
        teachers = self.services.projects.teachers(project)
        live = [spec.name for spec in teachers if spec.provider != "recorded"]
        compressor = gr.Dropdown([NOBODY, *live], value=NOBODY, visible=len(live) < len(teachers))
        order = PlanOrder(preset=self.frame.policy.limits.preset or "small-student")
        plan = self.services.plan.make(project.name, order)
        why = self._why_not(project.name, plan)
        command = command_html(order_words(project.name, order))
        shown = [_lacking_html(project.name, why), *self._forecast(project.name, plan, why), command]
        return [compressor, *shown, *enable(not why, not why)]

    def _why_not(self, project: str, plan: Plan) -> TacitError | None:
        """What a plan lacks to be started; None if nothing."""
        try:
            self.services.run.check(project, plan)
        except TacitError as error:
            return error
        return None

    def _draw(self, project: str, plan: Plan, why: TacitError | None, forecast: Forecast | None = None) -> str:
        rows = self.services.forecast.rows(project, plan) if why is None else {}
        return plan_html(plan, rows, forecast)

    def plan(self, project: str, order: Entered[PlanOrder], name: str = "") -> list[Any]:
        """The plan as it is typed; what can't be read yet is told in its place."""
        try:
            plan = self._plan(project, order)
        except TacitError as error:
            return [notice_html(str(error), bad=True), gr.skip(), "", "", *enable(False, False)]
        why = self._why_not(project, plan)
        shown = [_lacking_html(project, why), *self._forecast(project, plan, why), self.command(project, order, name)]
        return [*shown, *enable(not why, not why)]

    def command(self, project: str, order: Entered[PlanOrder], name: str = "") -> str:
        """The command that starts the same run."""
        try:
            return command_html(order_words(project, order.read(), name or ""))
        except TacitError:  # half a number is typed: the plan's place says so
            return ""

    def show_forecast(self, project: str, order: Entered[PlanOrder]) -> list[Any]:
        """The plan with what was measured of it meanwhile."""
        try:
            plan = self._plan(project, order)
        except TacitError:
            return [gr.skip(), ""]
        return self._forecast(project, plan, self._why_not(project, plan))

    def _forecast(self, project: str, plan: Plan, why: TacitError | None) -> list[str]:
        try:
            forecast = self.services.forecast.find(project, plan)
        except StateError as error:
            return [self._draw(project, plan, why), notice_html(str(error), bad=True)]
        except TacitError:  # nothing is selected yet: the plan's place says so
            return [self._draw(project, plan, why), ""]
        return [self._draw(project, plan, why, forecast), forecast_html(forecast) if forecast else ""]

    def ask_forecast(self, project: str, order: Entered[PlanOrder]) -> list[Any]:
        plan = self._plan(project, order)
        try:
            if self.services.forecast.find(project, plan) is not None:
                return [notice_html("This was measured already: see the figures below."), gr.skip()]
        except StateError:  # it failed: measure again
            pass
        self.services.forecast.ask(project, plan)
        return [
            notice_html("Measuring a few updates and words on the device. The forecast appears below."),
            gr.Timer(active=True),
        ]

    def start(self, project: str, order: Entered[PlanOrder], name: str = "") -> list[Any]:
        try:
            run = self.services.run.start(project, self._plan(project, order), name=name or "")
        except NotFound as error:
            raise InputError(_UNSELECTED) from error
        if run.status == "stopped":
            raise StateError(f"{run.title} could not start: {run.message}")
        every = self.services.reading.runs_of(run.project_id)
        message = notice_html(
            f"{run.title} is queued. It keeps running when this tab is closed or the server stops.", tone="good"
        )
        choices = gr.Dropdown([(run_name(one), one.id) for one in every])
        return [message, choices, gr.Timer(active=True)]


def _lacking_html(project: str, why: TacitError | None) -> str:
    """What is missing before the run can start, and the page where it comes from; "" if nothing is."""
    if why is None:
        return ""
    if isinstance(why, NotFound):
        return guide_html(_UNSELECTED, Link("To Select", "/select", project))
    if "held-out" in str(why):
        return guide_html(str(why), Link("To Data", "/data", project))
    if "no samples" in str(why):
        return guide_html(str(why), Link("To Label", "/label", project))
    return notice_html(str(why), tone="warn")


def plan_html(plan: Plan, rows: Mapping[str, int] | None = None, forecast: Forecast | None = None) -> str:
    """A plan's line of help, its steps with their rows and times as far as they are known, and what to know of it."""
    kind = PLANS.get(plan.name) if plan.name in PLANS.names() else None
    help_ = f"<p class='quiet'>{kind.help}</p>" if kind else ""
    notes = {name: counted(count, "row") for name, count in (rows or {}).items()}
    for stage in forecast.stages if forecast else ():
        notes[stage.name] = (
            f"{counted(stage.rows, 'row')} · {counted(stage.updates, 'update')}, {say_span(stage.seconds)}"
        )
    return help_ + pipeline_html(plan, notes) + "".join(notice_html(note) for note in plan_notes(plan))


def forecast_html(forecast: Forecast) -> str:
    """The forecast: time, memory and rows left out in tiles; the stages and those rows below."""
    low, high = forecast.training_s + forecast.writing_low, forecast.training_s + forecast.writing_high
    ends = [say_span(low), say_span(high)]
    left_out = sum(stage.dropped for stage in forecast.stages)
    tiles = [
        Tile(ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}", "Time", "training and scoring"),
        Tile(say_span(forecast.training_s), "Of it training", f"on {forecast.device}, {forecast.dtype}"),
        Tile(f"{forecast.peak_bytes / 1e9:.1f} GB", "Memory", "at most, measured"),
        Tile(f"{left_out:,}", "Rows left out", "longer than the limit", "warn" if left_out else ""),
    ]
    rows = [
        {
            "Stage": stage.name,
            "Rows": stage.rows,
            "Updates": stage.updates,
            "Longest row": stage.longest,
            "Too long": stage.dropped,
            "Time": say_span(stage.seconds),
            "": "its rows are made by the run: estimated by others" if stage.guessed else "",
        }
        for stage in forecast.stages
    ]
    long = table_html([{"Tokens": row["tokens"], "Query": row["query"]} for row in forecast.too_long], "rows left out")
    caption = "forecast by a few updates and words, measured on this device"
    details = table_html(rows, caption, right=["Time"]) + long
    return f"{tiles_html(tiles)}<details class='more'><summary>Details by stage</summary><div>{details}</div></details>"
