"""Study: which plan wins, over several seeds?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.training.study_files import read_grid_file
from app.usecases.training.study_lines import (
    arm_rows,
    contrast_rows,
    kind_rows,
    quote_rows,
    say_budget,
    say_result,
    tell_study_quote,
)
from app.web.choices import enable
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import only_guides
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.plots import arms_plot, front_plot, learning_plot
from engine.budgets import BUDGETS
from engine.errors import InputError, TacitError
from engine.plans import PLANS
from engine.plans.order import TRAIN_PRESETS
from engine.study import FINISHED, Grid, read_grid
from engine.wording import counted
from storage.projects import Project

_EMPTY = "No study yet. Choose plans and seeds below, or bring a grid as a TOML file."
_NONE = "- its own epochs -"
_MOST_BYTES = 1_000_000


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame.services)
    with gr.Row():
        which = gr.Dropdown([], label="Study", interactive=True, scale=2)
        go_on = gr.Button("Go on", interactive=False)
        cancel = gr.Button("Cancel", variant="stop", interactive=False)
        take = gr.UploadButton("Take in records", file_types=[".json"], file_count="multiple", interactive=False)
    said = lay_html()
    result, arms = lay_html(), lay_html()
    with gr.Row():
        intervals = gr.Plot(label="score by arm", visible=False)
        front = gr.Plot(label="score against output tokens", visible=False)
    curves = gr.Plot(label="training loss by update, first seed", visible=False)
    rest = lay_html()
    gr.Markdown("### A new one")
    form, contrast = _lay_form()
    with gr.Row():
        quote = gr.Button("Quote")
        start = gr.Button("Start", variant="primary")
        file = gr.UploadButton("Start a grid from a file", file_types=[".toml"])
    quoted = lay_html()

    shown = [result, arms, intervals, front, curves, rest, go_on, cancel, take]
    frame.fill_once([which], do.choices)
    frame.fill_live(shown, [which], do.show)
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    which.change(frame.guard(do.show), [frame.project, which], shown, **last)
    form.parts["plans"].change(frame.guard(do.pairs), [frame.project, form.parts["plans"], *contrast], contrast, **last)
    asked = [frame.project, *form.inputs]
    quote.click(frame.guard(do.quote, form), asked, quoted, **frame.quiet)
    frame.follow(start.click(frame.guard(do.start, form), asked, [said, which, frame.timer], **frame.quiet))
    bring = [frame.project, file]
    frame.follow(file.upload(frame.guard(do.start_file), bring, [said, which, frame.timer], **frame.quiet))
    chosen = [frame.project, which]
    frame.follow(go_on.click(frame.guard(do.go_on), chosen, [said, frame.timer], **frame.quiet))
    frame.follow(cancel.click(frame.guard(do.cancel), chosen, [said, frame.timer], **frame.quiet))
    frame.follow(take.upload(frame.guard(do.take_in), [*chosen, take], said, **frame.quiet))


def _lay_form() -> tuple[NamedForm[dict[str, Any]], list[gr.Dropdown]]:
    """What is compared, and the contrast that is chosen beforehand."""
    kinds = [(PLANS.get(name).title, name) for name in PLANS.names()]
    begun = ["twt", "standard-kd"]
    with gr.Row():
        name = gr.Textbox(label="Name", placeholder="first-study", max_length=60)
        seeds = gr.Textbox("1,2,3", label="Seeds", info="by comma; three or more tell something", max_length=100)
        preset = gr.Dropdown(list(TRAIN_PRESETS), value="small-student", label="Preset")
        stages = gr.Textbox(label="Epochs of the stages", placeholder="preset's, or 2,1,4", max_length=100)
    plans = gr.Dropdown(kinds, value=begun, multiselect=True, label="Plans", info="an arm each")
    with gr.Row():
        first = gr.Dropdown(begun, value=begun[0], label="Chosen beforehand: is", interactive=True)
        second = gr.Dropdown(begun, value=begun[1], label="different from", interactive=True)
        budgets = [(_NONE, ""), *((BUDGETS.get(name).title, name) for name in BUDGETS)]
        budget = gr.Dropdown(budgets, value="", label="Every arm takes equally much of")
        amount = gr.Textbox(label="How much", placeholder="as 192000", max_length=12)
    parts = {"name": name, "seeds": seeds, "preset": preset, "stages": stages, "plans": plans}
    parts |= {"first": first, "second": second, "budget": budget, "amount": amount}
    return NamedForm(parts, lambda named: named), [first, second]


def _read_form(project: str, named: dict[str, Any]) -> Grid:
    """The grid that is entered.

    Raises:
        InputError, ConfigError: by field, what can't be read.
    """
    if not (named["name"] or "").strip():
        raise InputError("Name: give the study one, as first-study.")
    seeds = [part.strip() for part in (named["seeds"] or "").split(",") if part.strip()]
    if not seeds or not all(part.isdecimal() and len(part) < 10 for part in seeds):
        raise InputError("Seeds: give whole numbers by comma, as 1,2,3.")
    order = {"preset": named["preset"]} | (
        {"stages": named["stages"].strip()} if (named["stages"] or "").strip() else {}
    )
    table: dict[str, Any] = {"name": named["name"].strip(), "project": project, "seeds": [int(part) for part in seeds]}
    table |= {"order": order, "contrast": [_name_arm(named["first"] or ""), _name_arm(named["second"] or "")]}
    if named["budget"]:
        amount = (named["amount"] or "").replace(",", "").strip()
        if not amount.isdecimal():
            raise InputError("How much: give a whole number, as 192000.")
        table["budget"] = {"kind": named["budget"], "amount": int(amount)}
    return read_grid(
        {"study": table, "arms": [{"name": _name_arm(plan), "plan": plan} for plan in named["plans"] or ()]}
    )


def _name_arm(plan: str) -> str:
    """The arm of a plan: a record's file is named so."""
    return plan.replace("+", "-and-")


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project first."""

    services: Services

    def choices(self, project: Project | None) -> Any:
        names = [grid.name for grid in self.services.study.grids(project.name)] if project else []
        return gr.Dropdown(names, value=names[0] if names else None, visible=bool(names))

    @only_guides
    def show(self, project: str, name: str | None) -> list[Any]:
        """The table of a study, its plots, what is missing of it, and what can be done."""
        hidden = [gr.Plot(visible=False)] * 3
        if not project:
            return [notice_html(NO_PROJECT), "", *hidden, "", *_can(False, False, False)]
        if not name:
            return [notice_html(_EMPTY), "", *hidden, "", *_can(False, False, False)]
        grid = self.services.study.find(project, name)
        running = self.services.study.running_job(grid) is not None
        try:
            result, records = self.services.study.read(grid)
        except TacitError as error:
            return [notice_html(str(error)), "", *hidden, "", *_can(not running, running, True)]
        head = notice_html(say_result(grid, result)) + notice_html(say_budget(grid))
        plots = hidden
        if result.arms:
            finished = [record for record in records if record.status == FINISHED]
            first = [record for record in finished if record.seed == min(other.seed for other in finished)]
            drawn = (arms_plot(result.arms), front_plot(result.points), learning_plot(first))
            plots = [gr.Plot(plot, visible=True) for plot in drawn]
        rest = table_html(kind_rows(result), "score by kind")
        rest += table_html(contrast_rows(result), "differences on the same queries; others corrected by Holm's method")
        rest += "".join(notice_html(line) for line in result.missing)
        can = _can(bool(result.missing) and not running, running, True)
        return [head, table_html(arm_rows(result), "arms, over seeds and queries"), *plots, rest, *can]

    def pairs(self, project: str, plans: list[str] | None, first: str | None, second: str | None) -> list[Any]:
        """The arms that a contrast can be of; what was chosen stays where it still is one."""
        names = list(plans or ())
        left = first if first in names else next(iter(names), None)
        right = second if second in names and second != left else next((n for n in names if n != left), None)
        return [gr.Dropdown(names, value=left), gr.Dropdown(names, value=right)]

    def quote(self, project: str, entered: Entered[dict[str, Any]]) -> str:
        """What the study would take; each arm is measured for a moment on the device."""
        quoted = self.services.study_quote.quote(_read_form(project, entered.read()))
        lines = "".join(notice_html(line) for line in tell_study_quote(quoted))
        return table_html(quote_rows(quoted), "what each arm takes, all seeds together") + lines

    def start(self, project: str, entered: Entered[dict[str, Any]]) -> list[Any]:
        return self._start(project, _read_form(project, entered.read()))

    def start_file(self, project: str, file: str | None) -> list[Any]:
        """Start a grid as people write it, on the project of this page."""
        if not file:
            raise InputError("Choose a TOML file; docs/study.md shows one.")
        if Path(file).stat().st_size > _MOST_BYTES:
            raise InputError(f"The file has more than {_MOST_BYTES:,} bytes; a grid has fewer.")
        return self._start(project, read_grid_file(Path(file)).model_copy(update={"project": project, "puzzles": None}))

    def _start(self, project: str, grid: Grid) -> list[Any]:
        self.services.study.start(grid)
        names = [other.name for other in self.services.study.grids(project)]
        runs = counted(len(grid.arms) * len(grid.seeds), "run")
        message = notice_html(f"{grid.name} has begun: {runs}, one after the other.")
        return [message, gr.Dropdown(names, value=grid.name, visible=True), gr.Timer(active=True)]

    def go_on(self, project: str, name: str | None) -> list[Any]:
        self.services.study.start(self.services.study.find(project, name or ""))
        return [notice_html(f"{name} goes on where it was."), gr.Timer(active=True)]

    def cancel(self, project: str, name: str | None) -> list[Any]:
        self.services.study.cancel(self.services.study.find(project, name or ""))
        return [notice_html(f"{name} stops; the run it is at saves a checkpoint first."), gr.Timer(active=True)]

    def take_in(self, project: str, name: str | None, files: list[str] | None) -> str:
        grid = self.services.study.find(project, name or "")
        new = self.services.study.take_in(grid, [Path(file) for file in files or ()])
        return notice_html(f"{counted(new, 'record')} taken in; those that were finished here already stay.")


def _can(go_on: bool, cancel: bool, take: bool) -> list[Any]:
    return [*enable(go_on, cancel), gr.UploadButton(interactive=take)]
