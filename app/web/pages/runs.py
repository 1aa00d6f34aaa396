"""The part of Train that shows the runs: their list, one of them whole, several over each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import gradio as gr

from app.palette import students_of
from app.services import Services
from app.usecases.training.progress import LISTED, SHOWN, Curve, StepProgress
from app.usecases.training.run_settings import differing_settings
from app.web.address import read_view
from app.web.choices import Question, enable, lay_question, run_name
from app.web.downloads import Downloads
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.lists import offer_csv, write_list
from app.web.offers import only_guides
from app.web.parts.code import command_html, commands_html
from app.web.parts.listing import LISTING, Listing, listing_html
from app.web.parts.messages import notice_html
from app.web.parts.pipeline import title_steps
from app.web.parts.runs import COLUMNS, run_html, run_row
from app.web.parts.tables import table_html
from app.web.parts.texts import log_html
from app.web.plots_runs import compare_plot, loss_plot, speed_plot
from engine.errors import NotFound
from engine.plans.titles import title_of
from engine.values import JobStatus, RunStatus
from engine.wording import counted, say_span, verb
from storage.projects import Project
from storage.runs import Run

_MOST_COMPARED = 6
_HEAD = (
    "<div class='section-head'><h2>Runs</h2>"
    "<button type='button' class='button' data-notify>Notify me in this browser</button></div>"
)
_EMPTY = "No run yet. Choose a plan below and start it."


class ListParts(NamedTuple):
    """The list of runs, where messages stand, and which run is open."""

    listed: gr.HTML
    said: gr.HTML
    run: gr.Textbox


class RunParts(NamedTuple):
    """The open run: its numbers and steps, what can be done with it, and what it measures."""

    shown: gr.HTML
    step: gr.Dropdown
    again: gr.Button
    resume: gr.Button
    cancel: gr.Button
    sure: Question
    weight: gr.Slider
    log_scale: gr.Checkbox
    losses: gr.Plot
    speeds: gr.Plot
    name: gr.Textbox
    note: gr.Textbox
    rename: gr.Button
    log: gr.HTML


class CompareParts(NamedTuple):
    """Several runs over each other."""

    compared: gr.Dropdown
    differences: gr.HTML
    plot: gr.Plot


def lay_list() -> ListParts:
    """Lay the list of runs out."""
    lay_html(_HEAD)
    listed, said = lay_html(js_on_load=LISTING), lay_html()
    return ListParts(listed, said, gr.Textbox("", visible="hidden", label="Open run"))


def lay_run() -> RunParts:
    """Lay the open run out."""
    shown = lay_html()
    with gr.Row():
        step = gr.Dropdown([], label="Step", interactive=True, min_width=160, scale=0)
        again = gr.Button("Rerun from this step", interactive=False)
        resume = gr.Button("Resume", interactive=False)
        cancel = gr.Button("Cancel", variant="stop", interactive=False)
    sure = lay_question("Rerun now", "Keep as it is")
    with gr.Row():
        weight = gr.Slider(0, 0.99, 0.8, step=0.01, label="Smoothing", scale=0, min_width=240)
        log_scale = gr.Checkbox(True, label="Log scale of the loss", scale=0, min_width=180)
    losses = gr.Plot(label="Loss by update", visible=False)
    speeds = gr.Plot(label="Tokens/s by update", visible=False)
    with gr.Accordion("Name and note", open=False), gr.Row():
        name = gr.Textbox(label="Name", placeholder="as “rank 16, no review”", max_length=80)
        note = gr.Textbox(label="Note", placeholder="what to remember of it", max_length=2000, scale=2)
        rename = gr.Button("Save")
    with gr.Accordion("Log of the worker", open=False):
        log = lay_html()
    return RunParts(
        shown, step, again, resume, cancel, sure, weight, log_scale, losses, speeds, name, note, rename, log
    )


def lay_compare() -> CompareParts:
    """Lay the comparison of runs out."""
    with gr.Accordion("Compare runs", open=False):
        compared = gr.Dropdown(
            [], label="Runs to compare", info="2 to 6", multiselect=True, max_choices=_MOST_COMPARED, interactive=True
        )
        return CompareParts(compared, lay_html(), gr.Plot(label="Loss by update", visible=False))


def bind(frame: Frame, top: ListParts, whole: gr.Column, one: RunParts, many: CompareParts) -> Callable[[Any], None]:
    """Bind the handlers of these parts; `whole` holds the open run. Returns what draws all anew after an event."""
    do = _Handlers(frame, one.sure)
    drawn = [top.listed, top.run, whole, one.shown]
    frame.fill_view(drawn, [], do.show)
    offer_csv(frame, top.listed, do.save_list)
    buttons, opened = [one.cancel, one.resume, one.again], [frame.project, top.run]
    frame.fill_live(buttons, [top.run], do.follow)
    how, plots = [one.weight, one.log_scale], [one.losses, one.speeds, one.log]
    frame.fill_live(plots, [top.run, *how], do.draw)
    frame.fill_once([many.compared], do.list_choices)
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    top.run.change(frame.guard(do.fields), opened, [one.step, one.name, one.note], **last)
    top.run.change(frame.guard(do.can_go_on), opened, [*buttons, top.said], **last)
    for part in (top.run, *how):
        part.change(frame.guard(do.draw), [*opened, *how], plots, **last)
    for part in (many.compared, *how):
        asked = [frame.project, many.compared, *how]
        part.change(frame.guard(do.compare), asked, [many.differences, many.plot], **last)
    outputs, sure = [top.said, frame.timer], one.sure
    one.again.click(frame.guard(do.ask_rerun), [*opened, one.step], [sure.row, sure.text], **frame.quiet)
    gr.on([sure.no.click, one.step.change, top.run.change], frame.guard(do.keep), frame.project, sure.row, **last)
    events = [
        one.cancel.click(frame.guard(do.cancel), opened, outputs, **frame.quiet),
        one.resume.click(frame.guard(do.resume), opened, outputs, **frame.quiet),
        sure.yes.click(frame.guard(do.rerun), [*opened, one.step], [*outputs, sure.row], **frame.quiet),
        one.rename.click(
            frame.guard(do.rename), [*opened, one.name, one.note], [top.said, many.compared], **frame.quiet
        ),
    ]

    def redraw(event: Any) -> None:
        frame.follow(event)
        event.success(frame.guard(do.show), [frame.project, frame.address], drawn, **last)

    for event in events:
        redraw(event)
    return redraw


@dataclass(frozen=True)
class _Handlers:
    """What the events do; each is given the project first."""

    frame: Frame
    sure: Question
    downloads: Downloads = field(default_factory=Downloads)

    @property
    def services(self) -> Services:
        return self.frame.services

    def show(self, project: str, address: str) -> list[Any]:
        """The runs that the address asks for, and the one that it opens, the newest if it names none."""
        view = read_view(address)
        page = self.services.watch.page(project, view.search, view.show, view.sort, view.page)
        run = self._opened(project, view.open, [progress.run for progress in page.rows])
        searched = "Search names, notes and plans" if page.total > LISTED or view.search else ""
        listing = Listing(
            rows=[run_row(progress) for progress in page.rows],
            columns=COLUMNS,
            view=replace(view, open=run.id if run else ""),
            begin=page.begin,
            total=page.total,
            size=LISTED,
            noun="run" if page.total == 1 else "runs",
            filters=SHOWN if page.total or view.show or view.search else {},
            searched=searched,
            empty="No run matches." if view.show or view.search else _EMPTY,
            csv=True,
        )
        if run is None:
            return [listing_html(listing), "", gr.Column(visible=False), ""]
        progress = self.services.watch.one(run)
        shown = run_html(progress, self.services.watch.steps(run)) + commands_html(_list_commands(run))
        return [listing_html(listing), run.id, gr.Column(visible=True), shown]

    def save_list(self, project: str, address: str) -> str:
        """The runs that the address asks for, as a file."""
        view = read_view(address)
        sheet = self.services.watch.sheet(project, view.search, view.show, view.sort)
        return write_list(self.downloads, sheet, project, "runs", address)

    def _opened(self, project: str, run_id: str, listed: list[Run]) -> Run | None:
        try:
            return self.services.reading.run_of(project, run_id) if run_id else next(iter(listed), None)
        except NotFound:  # an address of before: its run is another project's now, or gone
            return next(iter(listed), None)

    @only_guides
    def can_go_on(self, project: str, run: str | None) -> list[Any]:
        """What can be done with a run now: cancel it, resume it, rerun its steps; and what of it is stale."""
        if not run:
            return [*enable(False, False, False), ""]
        run_record = self.services.reading.run_of(project, run)
        cancel, resume, again = self.follow(project, run)
        stale = self.services.run.stale_steps(run_record.id)
        if run_record.status is RunStatus.FINISHED:
            (resume,) = enable(bool(stale) and self.frame.policy.goes_on(project, run))
        return [cancel, resume, again, notice_html(_say_stale(stale), tone="warn")]

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

    def fields(self, project: str, run: str | None) -> list[Any]:
        """What can be done again of the open run, its name and its note."""
        if not run:
            return [gr.Dropdown([], value=None), "", ""]
        run_record = self.services.reading.run_of(project, run)
        titles = title_steps(run_record.plan)
        first = next((step.name for step in run_record.plan.trained), next(iter(titles)))
        return [
            gr.Dropdown([(title, name) for name, title in titles.items()], value=first),
            run_record.name,
            run_record.note,
        ]

    def draw(self, project: str, run: str | None, weight: float, log: bool) -> list[Any]:
        """The curves of the open run, and the last lines of its worker."""
        if not run:
            return [gr.Plot(visible=False), gr.Plot(visible=False), ""]
        run_record = self.services.reading.run_of(project, run)
        run_id, stages = run_record.id, students_of(run_record.plan)
        curves = self.services.watch.curves([run_id])
        loss = loss_plot(curves["loss"], curves["validation_loss"], weight, log, stages)
        speed = speed_plot(curves["tokens_per_second"], weight, stages)
        known = bool(curves["loss"])
        text = self.services.watch.log_tail(run_id)
        return [gr.Plot(loss, visible=known), gr.Plot(speed, visible=known), log_html(text)]

    def list_choices(self, project: Project | None) -> Any:
        runs = self.services.reading.runs_of(project.id) if project else []
        return gr.Dropdown([(run_name(run), run.id) for run in runs], value=[], multiselect=True)

    def compare(self, project: str, chosen: list[str] | None, weight: float, log: bool) -> list[Any]:
        """The settings in which runs differ, and their losses over each other; baselines are left out."""
        runs = [self.services.reading.run_of(project, one) for one in chosen or []][:_MOST_COMPARED]
        if len(runs) < 2:
            return [notice_html("Choose two runs or more.") if runs else "", gr.Plot(visible=False)]
        names = {run.id: run.title for run in runs}
        drawn = [curve for run in runs for curve in _of_method(self.services.watch.curves([run.id])["loss"])]
        plot = compare_plot(drawn, names, weight, log)
        return [self._differences_html(runs), gr.Plot(plot, visible=bool(drawn))]

    def _differences_html(self, runs: list[Run]) -> str:
        read = [self.services.watch.one(run) for run in runs]
        rows = [{"": title, **_by_run(runs, values)} for title, values in differing_settings(runs)]
        same = "" if rows else notice_html("The settings of these runs are the same.")
        scores = [f"{one.best.accuracy:.3f} ({title_of(one.best.name)})" if one.best else "-" for one in read]
        losses = [f"{one.losses[-1]:.3f}" if one.losses else "-" for one in read]
        results = [{"": "Score", **_by_run(runs, scores)}, {"": "Last loss", **_by_run(runs, losses)}]
        table = table_html(
            [*results, *rows], "results, and the settings that differ", right=[run.title for run in runs]
        )
        return table + same

    def rename(self, project: str, run: str | None, name: str, note: str) -> list[Any]:
        run_record = self.services.reading.run_of(project, run)
        renamed = self.services.run.rename(run_record.id, name, note)
        runs = self.services.reading.runs_of(renamed.project_id)
        words = ["tacit", "runs", "rename", renamed.id[:8], renamed.name, "--note", renamed.note]
        message = notice_html(f"Saved: {renamed.title}.", tone="good") + command_html(words)
        return [message, gr.Dropdown([(run_name(one), one.id) for one in runs])]

    def cancel(self, project: str, run: str | None) -> list[Any]:
        run_record = self.services.run.cancel(self.services.reading.run_of(project, run).id)
        return [
            notice_html(f"{run_record.title} was asked to stop; it saves a checkpoint first."),
            gr.Timer(active=True),
        ]

    def resume(self, project: str, run: str | None) -> list[Any]:
        run_record = self.services.run.resume(self.services.reading.run_of(project, run).id)
        return [notice_html(f"{run_record.title} resumes where it stopped."), gr.Timer(active=True)]

    def ask_rerun(self, project: str, run: str | None, step: str | None) -> list[Any]:
        """Asked first: what a step and all behind it made is deleted when they run again."""
        run_record = self.services.reading.run_of(project, run)
        self.services.run.check_rerun(run_record.id, step or "")
        steps = self.services.watch.steps(run_record)
        place = next(place for place, one in enumerate(steps) if one.name == step)
        asked = notice_html(_say_rerun(run_record, steps[place:]), tone="warn")
        return self.sure.asked(asked + command_html(["tacit", "runs", "rerun", run_record.id[:8], str(step)]))

    def keep(self, project: str) -> Any:
        return self.sure.closed()

    def rerun(self, project: str, run: str | None, step: str | None) -> list[Any]:
        run_record = self.services.run.rerun(self.services.reading.run_of(project, run).id, step or "")
        return [
            notice_html(f"{run_record.title} reruns {step} and every step after it."),
            gr.Timer(active=True),
            self.sure.closed(),
        ]


def _list_commands(run: Run) -> list[list[str]]:
    """What shows a run, and what stops it or goes on with it as it stands."""
    going = run.status in (RunStatus.RUNNING, RunStatus.WAITING)
    act = "cancel" if going else "resume" if run.status is RunStatus.STOPPED else ""
    return [["tacit", "runs", verb, run.id[:8]] for verb in ("show", act) if verb]


def _by_run(runs: list[Run], values: list[str]) -> dict[str, str]:
    return {run.title: value for run, value in zip(runs, values, strict=True)}


def _of_method(curves: list[Curve]) -> list[Curve]:
    """Those of the plan's own method; all where it trains nothing but a baseline."""
    return [curve for curve in curves if not curve.baseline] or curves


def _say_rerun(run: Run, steps: Sequence[StepProgress]) -> str:
    """What it deletes to run these steps again, and how long they took; steps that never began hold nothing."""
    made = [step.name for step in steps if step.status is not JobStatus.QUEUED]
    adapters = [step.name for step in run.plan.trained if step.name in made]
    took = sum(step.seconds or 0.0 for step in steps)
    last = f" Last time they took {say_span(took)}." if took else ""
    begin = f"{steps[0].name} and the steps after it" if len(steps) > 1 else steps[0].name
    if not made:
        return f"This runs {begin} of {run.title} again. They have made nothing yet that would be deleted."
    what = f"the adapters of {', '.join(adapters)}" if adapters else "the results"
    return f"This deletes {what} in {run.title}, and runs {begin} again.{last}"


def _say_stale(stale: list[str]) -> str:
    if not stale:
        return ""
    return (
        f"{', '.join(stale)} {verb(len(stale), 'is')} out of date: what {counted(len(stale), 'step')} "
        f"{verb(len(stale), 'was')} trained on has changed since. Resume trains from there again."
    )
