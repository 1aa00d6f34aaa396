"""Save: how much cheaper, at what risk?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from app.usecases.evaluation.comparisons import ASSUMED_HOUR, Terms
from app.usecases.serving.ladder_chart import ladder_html
from app.usecases.serving.saving_lines import EFFORT_TITLES, figures, say_certificate
from app.usecases.serving.savings import Candidates, SaveOrder, Saving
from app.web.choices import choose_run, enable, run_choices
from app.web.downloads import Downloads, file_name, lay_file, save_after
from app.web.evaluation_form import lay_hour, read_price
from app.web.fields import lay_html
from app.web.forms import Entered, NamedForm
from app.web.frame import Frame
from app.web.pages import gateways, second_draws
from app.web.parts.code import commands_html
from app.web.parts.ladder import rungs_html
from app.web.parts.links import Link
from app.web.parts.messages import empty_html, notice_html
from app.web.parts.tiles import Tile, tiles_html, verdict_html
from engine.config import read_config
from engine.errors import InputError, StateError
from engine.plans.titles import title_of
from engine.serving.certificate import SURE
from engine.serving.deferral import DEFERRALS
from engine.serving.policy import write_policy
from engine.serving.saving import MOST_STUDENTS
from storage.projects import Project
from storage.runs import Run

_TO_RUN = "(run) => { window.tacitView({run}, true); }"
_NAMES = ("allowed", "effort", "rule", "students", "reference", "sure", "hour")
"""The fields of the form, in the order in which the page sends them."""
_MOST_POINTS = 10
_SURE = ("80", "90", "95", "99")
_USUAL = "found by itself"


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame)
    run, wish, ladder, hour, take = _lay_form()
    if frame.policy.offers("second_draws", "order") != "nowhere":
        second_draws.build(frame, run, ladder["students"])
    said, who, curve, command = (lay_html() for _ in range(4))
    file = lay_file()
    parts = {**wish, **ladder, "hour": hour}
    form = NamedForm({name: parts[name] for name in _NAMES}, _read)

    shown = [said, who, curve, command, take]
    asked = [frame.project, *form.inputs, run]
    frame.fill_once([wish["allowed"]], do.open)
    who_can = [ladder["students"], ladder["reference"], wish["rule"]]
    frame.fill_view([run, *who_can, *shown], [run, *form.inputs], do.choose)
    run.input(None, run, None, js=_TO_RUN)
    for part in form.inputs:
        event = part.blur if part is hour else part.change if part is wish["allowed"] else part.input
        event(
            frame.guard(do.show, form), asked, shown, show_progress="hidden", trigger_mode="always_last", **frame.quiet
        )
    save_after(take.click(frame.guard(do.take, form), asked, file, **frame.quiet), file)
    gateways.build(frame, form, run)


def _lay_form() -> tuple[gr.Dropdown, dict[str, Any], dict[str, Any], gr.Textbox, gr.Button]:
    """Which run; the wish; who is asked, which is folded; the price of the device; the button that takes it along."""
    with gr.Row():
        run = gr.Dropdown([], label="Run", interactive=True, scale=2, min_width=200)
        wish = {
            "allowed": gr.Slider(0, _MOST_POINTS, 2, step=0.5, label="Allowed loss (points)", scale=3, min_width=240),
            "effort": gr.Dropdown(
                [(title, name) for name, title in EFFORT_TITLES.items()], value="tokens", label="To save", min_width=130
            ),
            "rule": gr.Dropdown(
                [(DEFERRALS[name].title, name) for name in DEFERRALS],
                value=SaveOrder().rule,
                label="A student answers by",
                min_width=190,
            ),
        }
        take = gr.Button("Export policy", variant="primary", interactive=False, scale=0, min_width=130)
    with gr.Accordion("Who is asked, and at what price", open=False), gr.Row():
        ladder = {
            "students": gr.Dropdown(
                [],
                multiselect=True,
                max_choices=MOST_STUDENTS,
                label="Students, in this order",
                info=f"{_USUAL} where none is chosen",
                interactive=True,
                min_width=240,
            ),
            "reference": gr.Dropdown([], label="Asked last, and compared with", interactive=True, min_width=160),
            "sure": gr.Dropdown([(f"{one}%", one) for one in _SURE], value="90", label="Confidence", min_width=110),
        }
        hour = lay_hour()
    return run, wish, ladder, hour, take


def _read(named: dict[str, Any]) -> tuple[SaveOrder, Terms]:
    """The wish and the price, as they were entered."""
    values = {
        "students": tuple(named["students"] or ()),
        "reference": named["reference"] or "",
        "rule": named["rule"],
        "effort": named["effort"],
        "allowed": float(named["allowed"] or 0) / 100,
        "sure": float(named["sure"]) / 100,
    }
    return read_config(SaveOrder, values), Terms(read_price(named["hour"]))


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    frame: Frame
    downloads: Downloads = field(default_factory=Downloads)

    @property
    def services(self) -> Any:
        """The use cases."""
        return self.frame.services

    def open(self, project: Project | None) -> float:
        """The margin of the project, which Evaluate goes by too, within what the slider shows."""
        return min(float(_MOST_POINTS), round(200 * project.config.margin) / 2) if project else 2.0

    def choose(self, project: str, address: str, run: str | None, *values: Any) -> list[Any]:
        """The runs, who can be asked in the chosen one and by which rules, and what `show` says of it.

        That is the run of the address, else the one that is chosen, else the newest. Whoever a person chose to be asked
        stays as long as the run does.
        """
        runs = self.services.reading.runs_of(self.services.projects.get(project).id)
        chosen = choose_run(runs, address, run)
        named = dict(zip(_NAMES, values, strict=True))
        candidates = self._find_candidates(project, chosen)
        rules = candidates.rules if candidates else tuple(DEFERRALS)
        named["rule"] = named["rule"] if named["rule"] in rules else SaveOrder().rule
        rule = gr.Dropdown([(DEFERRALS[name].title, name) for name in rules], value=named["rule"])
        asked: list[Any] = [gr.skip(), gr.skip()] if chosen and chosen == run else _name_all(candidates)
        named |= {} if chosen == run else {"students": [], "reference": ""}
        return [run_choices(runs, chosen), *asked, rule, *self._show(project, chosen, *_read(named))]

    def _run(self, project: str, run: str | None) -> Run:
        record: Run = self.services.reading.run_of(project, run)
        return record

    def _find_candidates(self, project: str, run: str | None) -> Candidates | None:
        """Who can be asked in a run; None where nobody can."""
        try:
            candidates: Candidates = self.services.save.candidates(self._run(project, run))
        except StateError:
            return None
        return candidates

    def show(self, project: str, entered: Entered[tuple[SaveOrder, Terms]], run: str | None) -> list[Any]:
        """What the ladder saves: the certificate, who answers, the curve, the command."""
        return self._show(project, run, *entered.read())

    def _show(self, project: str, run: str | None, order: SaveOrder, terms: Terms) -> list[Any]:
        address = self.frame.policy.address(self.services.projects.get(project))
        if not run:
            return [_empty(address), "", "", "", *enable(False)]
        run_record = self._run(project, run)
        try:
            saving = self.services.save.read(run_record, order, terms)
        except (InputError, StateError) as error:
            way = Link("To Evaluate", "/evaluate", address)
            said = f"{str(error)[:1].upper()}{str(error)[1:]}"
            return [empty_html("Nothing to save yet", said, way), "", "", "", *enable(False)]
        measure = "Accuracy" if saving.labels == "gold" else "Agreement"
        return [
            _verdict_html(saving),
            f"<h2>Who answers</h2>{rungs_html(saving)}",
            f"<h2>{measure} against what an answer takes</h2>{ladder_html(saving, measure)}",
            commands_html(_commands(run_record, saving, terms)) + _warned(saving),
            *enable(True),
        ]

    def take(self, project: str, entered: Entered[tuple[SaveOrder, Terms]], run: str | None) -> str:
        """The policy as a file."""
        run_record = self._run(project, run)
        order, terms = entered.read()
        saving = self.services.save.read(run_record, order, terms)
        name = f"{file_name(project, run_record.id[:8], 'policy')}.json"
        path = self.downloads.folder(project, run_record.id, "policy") / name
        write_policy(self.services.save.policy(run_record, saving), path)
        return str(path)


def _name_all(candidates: Candidates | None) -> list[Any]:
    """The choices of who is asked."""
    if candidates is None:
        return [gr.Dropdown([], value=[], multiselect=True), gr.Dropdown([], value=None)]
    students = gr.Dropdown(
        [(title_of(name), name) for name in candidates.students], value=list(candidates.usual), multiselect=True
    )
    return [students, gr.Dropdown(list(candidates.references), value=candidates.best)]


def _verdict_html(saving: Saving) -> str:
    text = say_certificate(saving)
    tiles = [Tile(one.value, one.label, one.note, one.tone) for one in figures(saving)]
    return verdict_html(text.title, text.text, text.sure, inner=tiles_html(tiles))


def _commands(run: Run, saving: Saving, terms: Terms) -> list[list[str]]:
    """The commands that fit the ladder with the settings of the page, and serve it."""
    order = saving.order
    command = ["tacit", "policy", run.id[:8], "--loss", f"{100 * order.allowed:g}"]
    command += [] if order.sure == SURE else ["--sure", f"{100 * order.sure:g}"]
    command += [part for name in order.students for part in ("--student", name)]
    command += ["--teacher", order.reference, "--by", order.rule, "--save", order.effort]
    command += [] if terms.device_hour in (None, ASSUMED_HOUR) else ["--device-hour", f"{terms.device_hour:g}"]
    return [[*command, "--to", "policy.json"], ["tacit", "gateway", "policy.json"]]


def _warned(saving: Saving) -> str:
    """What whoever serves this must know beside the certificate."""
    warnings = []
    if saving.unsure and not DEFERRALS[saving.order.rule].draws_twice:
        warnings.append(
            f"No confidences were kept for {', '.join(map(title_of, saving.unsure))}: a threshold lets all of its "
            "answers pass, or none. Runs that are trained now keep them."
        )
    if DEFERRALS[saving.order.rule].by_kind:
        warnings.append("Callers must name the kind of each query; of queries without one nothing is saved.")
    return "".join(notice_html(text, tone="warn") for text in warnings)


def _empty(address: str) -> str:
    return empty_html(
        "No run yet",
        "A ladder asks a trained student first and a teacher only where the student is not sure. Train one, and its "
        "answers to the held-out queries show here what that saves.",
        Link("To Train", "/train", address),
    )
