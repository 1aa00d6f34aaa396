"""Train: what will run, and is it learning?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.labelling.label import read_money
from app.usecases.training.plans import plan_notes
from app.usecases.training.progress import Progress
from app.web.choices import enable, read_number, run_choices, run_name
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import only_guides
from app.web.parts.messages import notice_html
from app.web.parts.pipeline import pipeline_html
from app.web.parts.tables import Spark, table_html
from app.web.parts.texts import log_html
from app.web.plots import curves_plot
from engine.compression import COMPRESSORS
from engine.config import TrainConfig, read_config
from engine.errors import InputError, NotFound, StateError, TacitError
from engine.forecasts import Forecast
from engine.jobs.backends import BACKENDS
from engine.losses import LOSSES
from engine.plans import PLANS, Plan
from engine.plans.order import PlanOrder
from engine.remaining import Left
from engine.selection.settings import PRESETS
from engine.values import RunStatus
from engine.wording import say_span
from storage.projects import Project

_PRESETS = [("small student", "small-student"), ("paper", "paper"), ("smoke test: four updates", "smoke")]
_NOBODY = "- its own teacher -"
_SHOWN = 3
"""Runs that are drawn side by side when the page is opened."""


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame)
    order = lay_order(frame.policy.limits.preset)
    with gr.Row():
        measure = gr.Button("Forecast", interactive=False)
        start = gr.Button("Start", variant="primary", interactive=False)
    said, drawn = lay_html(), lay_html()
    forecast = lay_html()
    gr.Markdown("### Runs")
    listed = lay_html()
    with gr.Row():
        run = gr.Dropdown([], label="Run", interactive=True, scale=2, min_width=240)
        cancel = gr.Button("Cancel", variant="stop", interactive=False)
        resume = gr.Button("Resume", interactive=False)
        step = gr.Dropdown([], label="Step", interactive=True, min_width=140)
        again = gr.Button("Rerun from here", interactive=False)
    beside = gr.Dropdown([], label="Drawn side by side", multiselect=True, max_choices=6, interactive=True)
    with gr.Row():
        losses = gr.Plot(label="loss by update", visible=False)
        speeds = gr.Plot(label="tokens a second by update", visible=False)
    with gr.Accordion("Last lines of the worker's log", open=False):
        log = lay_html()

    asked = [frame.project, *order.inputs]
    frame.fill([listed], do.list_runs)
    frame.fill_once([run, step, beside, order.parts["compressor"], drawn, measure, start], do.open)
    frame.fill_live([cancel, resume, again], [run], do.follow)
    frame.fill_live([losses, speeds, log], [beside, run], do.draw)
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    for part in order.inputs:
        part.input(frame.guard(do.plan, order), asked, [drawn, forecast, measure, start], **last)
    measure.click(frame.guard(do.ask_forecast, order), asked, [said, frame.timer], **frame.quiet)
    frame.fill_live([forecast], order.inputs, do.show_forecast, order)
    started = start.click(frame.guard(do.start, order), asked, [said, run, beside, frame.timer], **frame.quiet)
    frame.follow(started)
    run.change(frame.guard(do.steps), [frame.project, run], step, show_progress="hidden", **frame.quiet)
    run.change(frame.guard(do.can_go_on), [frame.project, run], [cancel, resume, again], **last)
    beside.input(frame.guard(do.draw), [frame.project, beside, run], [losses, speeds, log], **frame.quiet)
    frame.follow(cancel.click(frame.guard(do.cancel), [frame.project, run], [said, frame.timer], **frame.quiet))
    frame.follow(resume.click(frame.guard(do.resume), [frame.project, run], [said, frame.timer], **frame.quiet))
    frame.follow(again.click(frame.guard(do.rerun), [frame.project, run, step], [said, frame.timer], **frame.quiet))


def lay_order(only: str | None) -> NamedForm[PlanOrder]:
    """The components of an order. `only`: the preset that runs as it is, if one does."""
    presets = [preset for preset in _PRESETS if only in (None, preset[1])]
    with gr.Row():
        kinds = [(PLANS.get(name).title, name) for name in PLANS.names()]
        plan = gr.Dropdown(kinds, value=PlanOrder().plan, label="Plan")
        preset = gr.Dropdown(presets, value=presets[0][1], label="Preset", interactive=only is None)
        student = gr.Textbox(
            "packaged",
            label="Student",
            info="packaged, a folder or a Hub id" if only is None else "SmolLM2-135M-Instruct",
            max_length=300,
            interactive=only is None,
        )
        chosen = [("what was selected last", ""), *((PRESETS.get(name).title, name) for name in PRESETS)]
        selection = gr.Dropdown(chosen, value="", label="Selection", interactive=only is None)
        compressor = gr.Dropdown([_NOBODY], value=_NOBODY, label="Who compresses for recordings")
    with gr.Row():
        rewriters = [(COMPRESSORS.get(name).title, name) for name in COMPRESSORS]
        by = gr.Dropdown(rewriters, value=PlanOrder().compress_by, label="Compressed by", interactive=only is None)
        review = gr.Checkbox(False, label="wait for my review of compressed rationales")
        level = gr.Dropdown(
            [("the teacher says it", 1), ("it follows when asked anew", 2)], value=1, label="Answer kept if"
        )
        cap = gr.Textbox(label="Cap on compressing in US $", placeholder="none", max_length=20)
    with gr.Accordion("Settings in place of the preset's", open=False, visible=only is None), gr.Row():
        stages = gr.Textbox(label="Epochs of the stages", placeholder="2,1,4 or 2@1e-4,1,4", max_length=100)
        rank = gr.Textbox(label="Rank", placeholder="8", max_length=10, min_width=90)
        rate = gr.Textbox(label="Learning rate", placeholder="preset's", max_length=20, min_width=90)
        batch = gr.Textbox(label="Batch", placeholder="8", max_length=10, min_width=90)
        most = gr.Textbox(label="Longest row in tokens", placeholder="preset's", max_length=10, min_width=110)
        losses = [(LOSSES.get(name).title, name) for name in LOSSES]
        loss = gr.Dropdown(losses, value=TrainConfig().loss, label="Loss", min_width=110)
        places = [(BACKENDS.get(name).title, name) for name in BACKENDS]
        place = gr.Dropdown(places, value=PlanOrder().backend, label="Trains on", min_width=110)
    parts = {"plan": plan, "preset": preset, "student": student, "compressor": compressor, "review": review}
    parts |= {"check_level": level, "compress_cap": cap, "stages": stages, "rank": rank, "learning_rate": rate}
    parts |= {"batch_size": batch, "max_tokens": most, "compress_by": by, "loss": loss, "selection": selection}
    return NamedForm(parts | {"backend": place}, _read_order)


_CHOSEN = {
    "plan": "Plan",
    "preset": "Preset",
    "check_level": "Answer kept if",
    "compress_by": "Compressed by",
    "backend": "Trains on",
}
_NUMBERS = {
    "rank": ("Rank", 1, 512, True),
    "learning_rate": ("Learning rate", 1e-12, 1, False),
    "batch_size": ("Batch", 1, 1024, True),
    "max_tokens": ("Longest row in tokens", 16, 200_000, True),
}
"""Label, least, most, and whether it is a whole number."""


def _read_order(named: dict[str, Any]) -> PlanOrder:
    """What somebody asks of a run, from components by the names of `PlanOrder`'s fields.

    Raises:
        InputError: by field, what can't be read.
        ConfigError: by setting, what can't be.
    """
    named["loss"] = None if named["loss"] == TrainConfig().loss else named["loss"]
    named["selection"] = named["selection"] or None
    named["compressor"] = None if named["compressor"] in (_NOBODY, "", None) else named["compressor"]
    named["compress_cap"] = read_money(named["compress_cap"])
    named["stages"] = named["stages"] or ""
    for name, label in _CHOSEN.items():
        if named[name] in (None, ""):
            raise InputError(f"{label}: choose one.")
    for name, (label, low, high, whole) in _NUMBERS.items():
        named[name] = read_number(named[name], label, low, high, whole)
    return read_config(PlanOrder, named | {"student": (named["student"] or "").strip()})


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project first."""

    frame: Frame

    @property
    def services(self) -> Services:
        return self.frame.services

    def _plan(self, project: str, order: Entered[PlanOrder]) -> Plan:
        return self.services.plan.make(project, order.read())

    def open(self, project: Project | None) -> list[Any]:
        if project is None:
            message = notice_html(NO_PROJECT)
            none = [gr.Dropdown([], value=None), gr.Dropdown([], value=None)]
            return [run_choices([]), *none, gr.skip(), message, *enable(False, False)]
        runs = self.services.reading.runs_of(project.id)
        names = [(run_name(run), run.id) for run in runs]
        beside = gr.Dropdown(names, value=[run.id for run in runs[:1]] or None)
        live = [s.name for s in self.services.projects.teachers(project) if s.provider != "recorded"]
        step = self.steps(project.name, runs[0].id) if runs else gr.Dropdown([], value=None)
        order = PlanOrder(preset=self.frame.policy.limits.preset or "small-student")
        plan = self.services.plan.make(project.name, order)
        why = self._why_not(project.name, plan)
        drawn = plan_html(plan) + (notice_html(why) if why else "")
        compressor = gr.Dropdown([_NOBODY, *live], value=_NOBODY)
        return [run_choices(runs), step, beside, compressor, drawn, *enable(not why, not why)]

    def _why_not(self, project: str, plan: Plan) -> str:
        """What a plan lacks to be started; "" if nothing."""
        try:
            self.services.run.check(project, plan)
        except NotFound as error:
            return _say_unselected(error)
        except TacitError as error:
            return str(error)
        return ""

    def plan(self, project: str, order: Entered[PlanOrder]) -> list[Any]:
        """The plan as it is typed; what can't be read yet is told in its place."""
        try:
            plan = self._plan(project, order)
        except TacitError as error:
            return [notice_html(str(error), bad=True), "", *enable(False, False)]
        why = self._why_not(project, plan)
        drawn = plan_html(plan) + (notice_html(why) if why else "")
        return [drawn, self.show_forecast(project, order), *enable(not why, not why)]

    def show_forecast(self, project: str, order: Entered[PlanOrder]) -> str:
        try:
            forecast = self.services.forecast.find(project, self._plan(project, order))
        except StateError as error:
            return notice_html(str(error), bad=True)
        except TacitError:  # nothing selected yet, or half a number typed: the buttons say so
            return ""
        return forecast_html(forecast) if forecast else ""

    def ask_forecast(self, project: str, order: Entered[PlanOrder]) -> list[Any]:
        plan = self._plan(project, order)
        try:
            if self.services.forecast.find(project, plan) is not None:
                return [notice_html("Measured already; it stands below."), gr.skip()]
        except StateError:  # it failed: measure again
            pass
        self.services.forecast.ask(project, plan)
        return [
            notice_html("Measuring a few updates and words on the device; the forecast comes below."),
            gr.Timer(active=True),
        ]

    def start(self, project: str, order: Entered[PlanOrder]) -> list[Any]:
        try:
            run = self.services.run.start(project, self._plan(project, order))
        except NotFound as error:
            raise InputError(_say_unselected(error)) from error
        runs = self.services.reading.runs_of(run.project_id)
        if (now := self.services.reading.find_run(run.id)).status == "stopped":
            raise StateError(f"The run could not start: {now.message}")
        names = [(run_name(one), one.id) for one in runs]
        message = notice_html(f"Run {run.id[:8]} is queued. It goes on when this tab is closed or the server ends.")
        return [message, run_choices(runs, run.id), gr.Dropdown(names, value=[run.id]), gr.Timer(active=True)]

    def steps(self, project: str, run: str | None) -> Any:
        if not run:
            return gr.Dropdown([], value=None)
        names = [step.name for step in self.services.reading.run_of(project, run).plan.steps]
        return gr.Dropdown(names, value=names[0])

    @only_guides
    def can_go_on(self, project: str, run: str | None) -> list[Any]:
        """The buttons that cancel a run, resume it and rerun its steps, as far as it can be now."""
        if not run:
            return enable(False, False, False)
        run_record = self.services.reading.run_of(project, run)
        cancel, resume, again = self.follow(project, run)
        if run_record.status is RunStatus.FINISHED:
            stale = bool(self.services.run.stale_steps(run_record.id))
            (resume,) = enable(stale and self.frame.policy.goes_on(project, run))
        return [cancel, resume, again]

    @only_guides
    def follow(self, project: str, run: str | None) -> list[Any]:
        """The same while jobs run, at little cost: whether a finished run has stale steps is not looked for again."""
        if not run:
            return enable(False, False, False)
        run_record = self.services.reading.run_of(project, run)
        going = run_record.status in (RunStatus.RUNNING, RunStatus.WAITING)
        may = self.frame.policy.goes_on(project, run)
        cancel, resume, again = enable(going, may and run_record.status is RunStatus.STOPPED, may and not going)
        return [cancel, gr.skip() if run_record.status is RunStatus.FINISHED else resume, again]

    def list_runs(self, project: Project | None) -> str:
        progress = self.services.watch.progress(project.id) if project else []
        note = "what is left in all counts the scoring in" if any(one.left for one in progress) else ""
        return table_html([_line(one) for one in progress], note, "No run yet. Choose a plan above and start it.")

    def draw(self, project: str, beside: list[str] | None, run: str | None) -> list[Any]:
        named = [self.services.reading.run_of(project, one).id for one in beside or []]
        curves = self.services.watch.curves(named)
        loss = curves_plot(curves["loss"], curves["validation_loss"], "loss")
        speed = curves_plot(curves["tokens_per_second"], [], "tokens a second")
        known = bool(curves["loss"])
        text = self.services.watch.log_tail(self.services.reading.run_of(project, run).id) if run else ""
        return [gr.Plot(loss, visible=known), gr.Plot(speed, visible=known), log_html(text)]

    def cancel(self, project: str, run: str | None) -> list[Any]:
        run_record = self.services.run.cancel(self.services.reading.run_of(project, run).id)
        return [
            notice_html(f"Run {run_record.id[:8]} is asked to stop; it saves a checkpoint first."),
            gr.Timer(active=True),
        ]

    def resume(self, project: str, run: str | None) -> list[Any]:
        run_record = self.services.run.resume(self.services.reading.run_of(project, run).id)
        return [notice_html(f"Run {run_record.id[:8]} goes on where it was."), gr.Timer(active=True)]

    def rerun(self, project: str, run: str | None, step: str | None) -> list[Any]:
        run_record = self.services.run.rerun(self.services.reading.run_of(project, run).id, step or "")
        return [
            notice_html(f"Run {run_record.id[:8]} does {step} and all steps after it again."),
            gr.Timer(active=True),
        ]


def _say_unselected(error: NotFound) -> str:
    return f"{error}: select samples on the page Select first."


def _line(progress: Progress) -> dict[str, Any]:
    run = progress.run
    status = "queued" if progress.queued and run.status == "running" else run.status.value
    where = "" if progress.update is None else f" · {progress.update:,} of {progress.of:,}"
    where += "" if progress.left_s is None else f" · {say_span(progress.left_s)} left"
    return {
        "run": run.id[:8],
        "plan": run.plan.name,
        "status": status,
        "steps": f"{progress.steps_done} of {progress.steps}",
        "now": f"{progress.step}{where}",
        "loss": Spark(progress.losses),
        "tokens/s": round(progress.tokens_per_second) if progress.tokens_per_second else None,
        "left in all": _left(progress.left),
        "what happened": run.message,
    }


def _left(left: Left | None) -> str:
    if left is None:
        return "-"
    return say_span(left.seconds) + (" and compressing" if left.open else "")


def plan_html(plan: Plan) -> str:
    """A plan's stages, and what to know of it before it is started."""
    return pipeline_html(plan) + "".join(notice_html(note) for note in plan_notes(plan))


def forecast_html(forecast: Forecast) -> str:
    """The forecast: the whole in a line, the stages, and the rows that are too long."""
    low, high = forecast.training_s + forecast.writing_low, forecast.training_s + forecast.writing_high
    text = (
        f"{say_span(low)} to {say_span(high)} ({say_span(forecast.training_s)} of it training), up to "
        f"{forecast.peak_bytes / 1e9:.1f} GB, on {forecast.device} in {forecast.dtype}; measured by a few updates "
        "and words here"
    )
    rows = [
        {
            "stage": stage.name,
            "rows": stage.rows,
            "updates": stage.updates,
            "longest row": stage.longest,
            "too long": stage.dropped,
            "time": say_span(stage.seconds),
            "": "its rows are made by the run: reckoned with others'" if stage.guessed else "",
        }
        for stage in forecast.stages
    ]
    long = table_html([{"tokens": row["tokens"], "query": row["query"]} for row in forecast.too_long], "rows left out")
    return notice_html(text, bad=bool(forecast.too_long)) + table_html(rows, "forecast") + long
