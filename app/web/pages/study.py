"""Study: which plan wins, over several seeds?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.training.study_files import read_grid_file, write_grid_text
from app.usecases.training.study_html import study_html
from app.usecases.training.study_lines import (
    arm_rows,
    contrast_rows,
    judge_study,
    kind_rows,
    quote_rows,
    quote_tiles,
    say_budget,
    tell_study_quote,
)
from app.web.address import read_view
from app.web.choices import enable
from app.web.downloads import Downloads, file_name, lay_file, save_after
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import only_guides
from app.web.pages.orders import PRESET_TITLES
from app.web.parts.code import code_html, command_html
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.messages import empty_html, notice_html
from app.web.parts.shell import bar_html
from app.web.parts.tables import Raw, table_html
from app.web.parts.tiles import Tile, badge_html, tiles_html, verdict_html
from app.web.plots_study import arms_plot, front_plot, learning_plot
from engine.budgets import BUDGETS
from engine.errors import InputError, TacitError
from engine.plans import PLANS
from engine.study import FINISHED, Grid, read_grid
from engine.study_table import StudyResult
from engine.wording import counted

_WHAT = (
    "A study trains several plans, each over several seeds, within one budget, and says which is better, with 95% "
    "intervals over seeds and queries."
)
_EMPTY = "No study yet. Choose plans and seeds below, or start one from a TOML file."
_HEAD = (
    "<div class='section-head'><h2>Studies</h2><a class='button primary' href='#new-study'>New study</a></div>"
    f"<p class='quiet'>{_WHAT}</p>"
)
_COLUMNS = (
    Column("name", "Study"),
    Column("contrast", "Question"),
    Column("arms", "Arms"),
    Column("seeds", "Seeds"),
    Column("runs", "Runs"),
    Column("status", "Status"),
)
_NONE = "- the epochs of its plan -"
_MOST = 1e12
"""Of any budget."""


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame.services)
    lay_html(_HEAD)
    listed = lay_html(js_on_load=LISTING)
    which = gr.Textbox("", visible="hidden", label="Open study")
    said = lay_html()
    with gr.Column(visible=False) as whole:
        result, arms = lay_html(), lay_html()
        with gr.Row():
            go_on = gr.Button("Resume", interactive=False)
            take = gr.UploadButton(
                "Import records", file_types=[".json"], file_count="multiple", interactive=False, scale=0
            )
            save = gr.Button("Download report", interactive=False)
            cancel = gr.Button("Cancel", variant="stop", interactive=False)
        with gr.Row(elem_classes="top"):
            intervals = gr.Plot(label="Score by arm", visible=False)
            front = gr.Plot(label="Score against output tokens", visible=False)
        curves = gr.Plot(label="Training loss by update, first seed", visible=False)
        rest = lay_html()
    shown, file = [result, arms, intervals, front, curves, rest, go_on, cancel, save, take], lay_file()
    frame.fill_view([listed, which, whole], [], do.list_studies)
    frame.fill_live(shown, [which], do.show)
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    which.change(frame.guard(do.show), [frame.project, which], shown, **last)
    chosen, outputs = [frame.project, which], [said, frame.timer]
    save_after(save.click(frame.guard(do.report), chosen, file, **frame.quiet), file)
    events = [
        go_on.click(frame.guard(do.go_on), chosen, outputs, **frame.quiet),
        cancel.click(frame.guard(do.cancel), chosen, outputs, **frame.quiet),
        take.upload(frame.guard(do.take_in), [*chosen, take], outputs, **frame.quiet),
        *_build_new(frame, do, said),
    ]
    for event in events:
        frame.follow(event)
        asked = [frame.project, frame.address]
        event.success(frame.guard(do.list_studies), asked, [listed, which, whole], **last)


def _build_new(frame: Frame, do: _Handlers, said: gr.HTML) -> list[Any]:
    """The part that starts another study; its events that start one."""
    lay_html("<h2 id='new-study'>New study</h2>")
    form, contrast = _lay_form()
    with gr.Row():
        start = gr.Button("Start study", variant="primary")
        quote = gr.Button("Quote")
        file = gr.UploadButton("Start from a TOML file", file_types=[".toml"], scale=0)
    quoted, command = lay_html(), lay_html()
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    asked = [frame.project, *form.inputs]
    form.parts["plans"].change(frame.guard(do.pairs, form), asked, contrast, **last)
    for part in form.inputs:
        part.change(frame.guard(do.command, form), asked, command, **last)
    begun = {name: part.value for name, part in form.parts.items()}
    frame.fill_once([command], lambda project: do.tell_command(project.name, begun) if project else "")
    quote.click(frame.guard(do.quote, form), asked, quoted, **frame.quiet)
    return [
        start.click(frame.guard(do.start, form), asked, [said, frame.timer], **frame.quiet),
        file.upload(frame.guard(do.start_file), [frame.project, file], [said, frame.timer], **frame.quiet),
    ]


def _lay_form() -> tuple[NamedForm[dict[str, Any]], list[gr.Dropdown]]:
    """What is compared, and the contrast that is chosen beforehand."""
    kinds = [(PLANS.get(name).title, name) for name in PLANS.names()]
    titles = {plan: title for title, plan in kinds}
    begun = ["twt", "standard-kd"]
    with gr.Row():
        name = gr.Textbox(label="Name of the study", placeholder="first-study", max_length=60)
        seeds = gr.Textbox("1,2,3", label="Seeds", placeholder="three or more, as 1,2,3", max_length=100)
        presets = [(title, preset) for preset, title in PRESET_TITLES.items()]
        preset = gr.Dropdown(presets, value="small-student", label="Preset")
        stages = gr.Textbox(label="Epochs per stage", placeholder="preset, or 2,1,4", max_length=100)
    plans = gr.Dropdown(kinds, value=begun, multiselect=True, label="Plans to compare")
    with gr.Row():
        pairs = [(titles[plan], plan) for plan in begun]
        first = gr.Dropdown(pairs, value=begun[0], label="Question: is this plan", interactive=True)
        second = gr.Dropdown(pairs, value=begun[1], label="different from", interactive=True)
        budgets = [(_NONE, ""), *((BUDGETS.get(name).title, name) for name in BUDGETS)]
        budget = gr.Dropdown(budgets, value="", label="Equal budget of")
        amount = gr.Textbox(label="Amount", placeholder="as 192000, or 0.50 of US dollars", max_length=16)
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
        table["budget"] = {"kind": named["budget"], "amount": _read_amount(named["budget"], named["amount"] or "")}
    return read_grid(
        {"study": table, "arms": [{"name": _name_arm(plan), "plan": plan} for plan in named["plans"] or ()]}
    )


def _read_amount(kind: str, text: str) -> int | float:
    """How much of a budget is entered.

    Raises:
        InputError: if it is no such number.
    """
    budget = BUDGETS.get(kind)
    try:
        amount = float(text.replace(",", "").strip().removeprefix("$"))
    except ValueError:
        amount = 0.0
    if not 0 < amount <= _MOST or (budget.whole and amount != int(amount)):
        kind = "a whole number" if budget.whole else "a number"
        raise InputError(f"Amount: give {kind} above 0, as {budget.example}.")
    return int(amount) if budget.whole else amount


def _name_arm(plan: str) -> str:
    """The arm of a plan: a record's file is named so."""
    return plan.replace("+", "-and-")


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project first."""

    services: Services
    downloads: Downloads = field(default_factory=Downloads)

    def list_studies(self, project: str, address: str) -> list[Any]:
        """The studies of the project, and the one that the address opens, the last changed if it names none."""
        grids = self.services.study.grids(project)
        view = read_view(address)
        names = [grid.name for grid in grids]
        opened = view.open if view.open in names else next(iter(names), "")
        if not grids:
            return [empty_html("No study yet", _EMPTY.removeprefix("No study yet. ")), "", gr.Column(visible=False)]
        listing = Listing(
            rows=[self._row(grid) for grid in grids],
            columns=_COLUMNS,
            view=replace(view, open=opened),
            begin=0,
            total=len(grids),
            size=len(grids),
            noun="study" if len(grids) == 1 else "studies",
            filters={},
        )
        return [listing_html(listing), opened, gr.Column(visible=True)]

    def _row(self, grid: Grid) -> dict[str, Any]:
        done, of = self.services.study.count(grid)
        running = self.services.study.running_job(grid) is not None
        done_badge = badge_html("complete", "good") if done == of else badge_html("incomplete", "warn")
        state = "running" if running else "complete" if done == of else "incomplete"
        share = f"<div class='share'>{bar_html(done, of)}<span>{done:,} of {of:,}</span></div>"
        return {
            "id": grid.name,
            "name": grid.name,
            "contrast": f"{grid.contrast[0]} against {grid.contrast[1]}",
            "arms": len(grid.arms),
            "seeds": len(grid.seeds),
            "runs": Raw(share, f"{done}"),
            "status": Raw(badge_html("running", "accent") if running else done_badge, state),
        }

    @only_guides
    def show(self, project: str, name: str | None) -> list[Any]:
        """What a study came to, its table and plots, what is missing of it, and what can be done."""
        hidden = [gr.Plot(visible=False)] * 3
        if not project or not name:
            return [notice_html(_EMPTY if project else NO_PROJECT), "", *hidden, "", *_can(False, False, False, False)]
        grid = self.services.study.find(project, name)
        running = self.services.study.running_job(grid) is not None
        try:
            result, records = self.services.study.read(grid)
        except TacitError as error:
            return [notice_html(str(error), bad=True), "", *hidden, "", *_can(not running, running, False, True)]
        verdict = judge_study(grid, result)
        head = verdict_html(verdict.title, f"{verdict.text} {say_budget(grid)}", verdict.sure)
        plots = hidden
        if result.arms:
            finished = [record for record in records if record.status == FINISHED]
            first = [record for record in finished if record.seed == min(other.seed for other in finished)]
            drawn = (arms_plot(result.arms), front_plot(result.points), learning_plot(first))
            plots = [gr.Plot(plot, visible=True) for plot in drawn]
        can = _can(bool(result.missing) and not running, running, bool(result.arms), True)
        table = table_html(arm_rows(result), "arms, over seeds and queries", right=_NUMBERS)
        return [head, table, *plots, _rest_html(result), *can]

    def report(self, project: str, name: str | None) -> str:
        """What a study says so far, as one file that is read offline."""
        grid = self.services.study.find(project, name or "")
        result, _ = self.services.study.read(grid)
        path = self.downloads.folder(project, grid.name, "study") / f"{file_name(project, grid.name, 'study')}.html"
        path.write_text(study_html(grid, result, datetime.now(UTC).date()), "utf-8")
        return str(path)

    def pairs(self, project: str, entered: Entered[dict[str, Any]]) -> list[Any]:
        """The arms that a contrast can be of; what was chosen stays where it still is one."""
        named = entered.read()
        names, first, second = list(named["plans"] or ()), named["first"], named["second"]
        left = first if first in names else next(iter(names), None)
        right = second if second in names and second != left else next((n for n in names if n != left), None)
        choices = [(PLANS.get(name).title if name in PLANS.names() else name, name) for name in names]
        return [gr.Dropdown(choices, value=left), gr.Dropdown(choices, value=right)]

    def command(self, project: str, entered: Entered[dict[str, Any]]) -> str:
        """The file and the command that run the same study."""
        return self.tell_command(project, entered.read())

    def tell_command(self, project: str, named: dict[str, Any]) -> str:
        """The same, of fields by their names; a study without a name yet goes by `study`."""
        try:
            grid = _read_form(project, named | {"name": (named["name"] or "").strip() or "study"})
        except TacitError:  # it is not whole yet: Start and Quote say what is missing
            return ""
        file = f"{grid.name}.toml"
        return command_html(["tacit", "study", file]) + (
            f"<details class='command'><summary>{escape(file)}</summary>{code_html(write_grid_text(grid))}</details>"
        )

    def quote(self, project: str, entered: Entered[dict[str, Any]]) -> str:
        """What the study would take; each arm is measured for a moment on the device."""
        quoted = self.services.study_quote.quote(_read_form(project, entered.read()))
        tiles = [Tile(value, label, note) for value, label, note in quote_tiles(quoted)]
        lines = "".join(notice_html(line) for line in tell_study_quote(quoted)[1:])
        rows = table_html(
            quote_rows(quoted), "what each arm takes, all seeds together", right=("training", "writing", "US $")
        )
        return tiles_html(tiles) + rows + lines

    def start(self, project: str, entered: Entered[dict[str, Any]]) -> list[Any]:
        return self._start(project, _read_form(project, entered.read()))

    def start_file(self, project: str, file: str | None) -> list[Any]:
        """Start a grid as people write it, on the project of this page."""
        if not file:
            raise InputError("Choose a TOML file; docs/study.md shows one.")
        return self._start(project, read_grid_file(Path(file)).model_copy(update={"project": project, "puzzles": None}))

    def _start(self, project: str, grid: Grid) -> list[Any]:
        self.services.study.start(grid)
        runs = counted(len(grid.arms) * len(grid.seeds), "run")
        message = notice_html(f"{grid.name} has started: {runs}, one after the other.", tone="good")
        return [message, gr.Timer(active=True)]

    def go_on(self, project: str, name: str | None) -> list[Any]:
        self.services.study.start(self.services.study.find(project, name or ""))
        return [notice_html(f"{name} resumes where it stopped."), gr.Timer(active=True)]

    def cancel(self, project: str, name: str | None) -> list[Any]:
        self.services.study.cancel(self.services.study.find(project, name or ""))
        return [notice_html(f"{name} is stopping; its present run saves a checkpoint first."), gr.Timer(active=True)]

    def take_in(self, project: str, name: str | None, files: list[str] | None) -> list[Any]:
        grid = self.services.study.find(project, name or "")
        new = self.services.study.take_in(grid, [Path(file) for file in files or ()])
        message = notice_html(
            f"{counted(new, 'record')} imported; runs that were finished here keep their own records."
        )
        return [message, gr.Timer(active=True)]


_NUMBERS = ("score", "95%", "tokens", "difference", "p", "corrected")
"""Columns of figures that are written out with their intervals."""


def _rest_html(result: StudyResult) -> str:
    """Differences, scores by kind, and what is missing."""
    differences = "differences on the same queries; p-values but the first corrected by Holm's method"
    rest = table_html(contrast_rows(result), differences, right=_NUMBERS)
    kinds = kind_rows(result)
    rest += table_html(
        kinds, "score by kind of query", right=[name for name in (kinds[0] if kinds else ()) if name != "arm"]
    )
    if result.missing:
        lines = "".join(f"<li>{escape(line)}</li>" for line in result.missing)
        missing = counted(len(result.missing), "run")
        rest += (
            f"<details class='more' open><summary>{missing} missing</summary><ul class='quiet'>{lines}</ul></details>"
        )
    return rest


def _can(go_on: bool, cancel: bool, save: bool, take: bool) -> list[Any]:
    return [*enable(go_on, cancel, save), gr.UploadButton(interactive=take)]
