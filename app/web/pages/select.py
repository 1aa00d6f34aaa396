"""Select: what do I keep, and why?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.selection.calibration import say_fitted
from app.usecases.selection.comparison import Comparison, list_matched, list_ways, say_comparison
from app.usecases.selection.overviews import Survey
from app.web.fields import lay_html
from app.web.forms import Entered
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import only_guides
from app.web.pages import decide
from app.web.pages.outcome import CUSTOM, draw_outcome
from app.web.pages.selection import RAW, SelectionForm, lay_rules, lay_weights, say
from app.web.parts.links import Link
from app.web.parts.matrix import matrix_html
from app.web.parts.messages import empty_html, notice_html
from app.web.parts.tables import table_html, titled
from app.web.parts.terms import explained_html
from app.web.plots import rationale_map, ways_plot
from engine.selection.calibration import LEAST_GOLDS
from engine.selection.settings import PRESETS, SelectionConfig
from storage.projects import Project


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    note = lay_html()
    with gr.Column() as work:
        outcome = lay_html()
        with gr.Row(elem_classes="top"):
            with gr.Column(scale=2, min_width=300):
                preset, form, parts = _lay_settings()
            with gr.Column(scale=3, min_width=320):
                bins = gr.Plot(label="Confidence by teacher, share of its samples", visible=False)
                curve = gr.Plot(label="Coverage against agreement, along the threshold", visible=False)
                reasons = lay_html()
        overviews, redraw, drawn = _lay_overviews()
        drawn_by = [outcome, bins, curve, reasons, parts["gold"], preset, parts["command"], parts["store"], redraw]
        review = decide.build(frame, form, drawn_by)
    do = _Handlers(frame, frame.services, form)
    asked, last = [frame.project, *form.inputs], {"trigger_mode": "always_last", **frame.quiet}
    numbers: dict[str, Any] = {"fn": frame.guard(do.numbers, form), "inputs": asked, "outputs": drawn_by, **RAW}
    quiet: dict[str, Any] = {"show_progress": "hidden", **last}
    for part in form.immediate:
        part.input(**numbers, **quiet)
    form.rules.input(frame.guard(do.show_rules, form), asked, list(form.groups.values()), **RAW, **quiet)
    weights = list(form.weights.values())
    for place, weight in enumerate(weights):
        moved = frame.guard(_Moved(do, place).balance, form)
        weight.input(moved, [*asked, form.locks], [*weights, *drawn_by], **RAW, **quiet)
    preset.input(frame.guard(do.set_out), [frame.project, preset], form.outputs, **quiet).success(**numbers, **quiet)
    stored = parts["store"].click(frame.guard(do.choose, form), asked, drawn_by, **RAW, **frame.quiet)
    frame.follow(stored.success(**review, **frame.quiet))
    fitted = [parts["fit_note"], form.temperature]
    event = parts["fit"].click(frame.guard(do.fit, form), asked, fitted, **RAW, **frame.quiet)
    event.success(**numbers, **quiet)
    for drawing in (overviews.expand, redraw.click):
        drawing(frame.guard(do.survey, form), asked, drawn, **RAW, **frame.quiet)
    frame.fill_once([note, work, *drawn_by, parts["fit"], parts["fit_note"], *form.outputs], do.start)


def _lay_settings() -> tuple[gr.Dropdown, SelectionForm, dict[str, Any]]:
    """What sets a preset, the settings, and the parts beside them by name."""
    presets = [(say(PRESETS.get(name).title), name) for name in PRESETS.names()]
    with gr.Row():
        preset = gr.Dropdown([*presets, ("Custom", CUSTOM)], value=None, label="Preset", scale=1, min_width=180)
        store = gr.Button("Select", variant="primary", interactive=False)
    lay_html(
        f"<p class='quiet'>In presets: {explained_html('DCRS')}, {explained_html('Dawid-Skene')}</p>",
        elem_classes="help",
    )
    command = lay_html()
    rules, fields, groups = lay_rules()
    with gr.Accordion("Weights of the factors", open=False):
        weights, locks = lay_weights()
    with gr.Accordion("Calibration", open=False):
        lay_html(
            "<p class='quiet'>A temperature divides the log-odds of every confidence. It changes no rank, but what "
            f"passes the threshold. It can be fitted where at least {LEAST_GOLDS} queries have a gold label; nothing "
            "is selected by gold.</p>"
        )
        with gr.Row():
            temperature = gr.Number(1.0, label="Temperature", info="1: confidences as they are", step=0.01)
            fit = gr.Button("Fit to gold labels", interactive=False)
        fit_note, gold = lay_html(), lay_html()
    form = SelectionForm(rules, fields, groups, weights, temperature, locks)
    parts = {"store": store, "command": command, "fit": fit, "fit_note": fit_note, "gold": gold}
    return preset, form, parts


def _lay_overviews() -> tuple[gr.Accordion, gr.Button, list[Any]]:
    """What is drawn when it is opened, the button that draws it anew, and what both fill."""
    title = "Overviews: similarity of teachers, other ways to select, map of rationales"
    with gr.Accordion(title, open=False) as overviews:
        with gr.Row():
            shown = lay_html()
            redraw = gr.Button("Redraw", size="sm", interactive=False)
        with gr.Row(elem_classes="top"):
            with gr.Column(scale=1, min_width=300):
                alike = lay_html()
            with gr.Column(scale=2, min_width=320):
                plane = gr.Plot(label="Map of rationales", visible=False)
        ways = lay_html()
        lines = gr.Plot(label="Labels right among the kept, by share kept; diamond: by its own rules", visible=False)
    return overviews, redraw, [shown, ways, lines, alike, plane]


def ways_html(ways: Comparison) -> str:
    """Ways to select beside each other: what each keeps by its own rules, and at equal numbers."""
    own = table_html(titled(list_ways(ways)), "The same samples, selected otherwise")
    matched = table_html(titled(list_matched(ways)), "Labels right at equal numbers kept")
    return own + matched + notice_html("\n".join(say_comparison(ways)))


def likeness_html(survey: Survey) -> str:
    """How similar two teachers' rationales to the same query are on average."""
    cells = survey.likeness.mean.tolist()
    return matrix_html(survey.teachers, cells, "Mean cosine of rationales, by pair of teachers")


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each returns the values of its components in their order."""

    frame: Frame
    services: Services
    form: SelectionForm

    def numbers(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        return draw_outcome(self.services, project, settings.read)

    @only_guides
    def show_rules(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        return self.form.show_groups(settings.values[0])

    def choose(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        config = settings.read()
        self.services.select.select(project, config)
        self.services.calibrate.prepare(project, config)
        return self.numbers(project, settings)

    def set_out(self, project: str, preset: str) -> list[Any]:
        if preset not in PRESETS.names():
            return [gr.skip() for _ in self.form.outputs]
        return self.form.show(self.services.projects.get(project), PRESETS.get(preset).config)

    def fit(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        fitted = self.services.calibrate.fit(project, settings.read())
        message = f"{say_fitted(fitted)} It is set above; nothing is stored until you select."
        return [notice_html(message), fitted.temperature]

    def survey(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        config = settings.read()
        overviews = self.services.survey.survey(project, config)
        points = self.services.survey.draw_map(project, config)
        teachers = [spec.name for spec in self.services.projects.teachers(self.services.projects.get(project))]
        return [
            notice_html(f"With these settings: {config.title}."),
            ways_html(overviews.ways),
            gr.Plot(ways_plot(overviews.ways), visible=overviews.ways.scored > 0),
            likeness_html(overviews),
            gr.Plot(rationale_map(points, teachers), visible=True),
        ]

    def start(self, project: Project | None) -> list[Any]:
        others = [gr.skip()] * (11 + len(self.form.outputs))
        if project is None:
            return [notice_html(NO_PROJECT), gr.Column(visible=False), *others]
        if not self.services.select.has_samples(project.name):
            label = Link("Label queries", "/label", self.frame.policy.address(project))
            outputs = Link("Import outputs", "/teachers", self.frame.policy.address(project))
            message = "Selection chooses among what teachers answered. Label the queries, or import recorded outputs."
            return [empty_html("No samples yet", message, label, outputs), gr.Column(visible=False), *others]
        begun = self.services.select.begin(project.name)
        values = self.form.show(project, begun.config)
        golds = self.services.calibrate.count_golds(project.name)
        few = "" if golds >= LEAST_GOLDS else f"{golds} answered queries have a gold label, so none can be fitted."
        numbers = draw_outcome(self.services, project.name, lambda: begun.config)
        note = [notice_html(begun.notice), gr.Column(visible=True)]
        return [*note, *numbers, gr.Button(interactive=not few), notice_html(few), *values]


@dataclass(frozen=True)
class _Moved:
    """The handler of one weight, by its place."""

    do: _Handlers
    place: int

    def balance(self, project: str, settings: Entered[SelectionConfig], locked: Any) -> list[Any]:
        """The weights as they share what this one leaves, and the numbers; one that is as it was is left alone."""
        form = self.do.form
        values = form.balance(settings.values, self.place, locked)
        before, after = form.weights_of(settings.values), form.weights_of(values)
        shown = [gr.skip() if new == old else new for old, new in zip(before, after, strict=True)]
        return [*shown, *self.do.numbers(project, Entered(values, form.read))]
