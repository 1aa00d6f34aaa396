"""Select: what do I keep, and why?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.selection.calibration import say_fitted
from app.usecases.selection.comparison import Comparison, list_matched, list_ways, say_comparison
from app.web.fields import lay_html
from app.web.forms import Entered
from app.web.frame import NO_PROJECT, Frame
from app.web.offers import only_guides
from app.web.pages import decide
from app.web.pages.selection import RAW, SelectionForm, draw_numbers, lay_rules, lay_weights
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.plots import likeness, rationale_map, sweep, ways_plot
from engine.selection.calibration import LEAST_GOLDS
from engine.selection.settings import PRESETS, SelectionConfig
from storage.projects import Project

_REBALANCE = """(...w) => {
  const rest = w.reduce((sum, x, i) => i === %d ? sum : sum + x, 0);
  const mine = rest > 0 ? Math.min(1, Math.max(0, w[%d])) : 1;
  const share = (x) => rest > 0 ? x * (1 - mine) / rest : 0;
  return w.map((x, i) => i === %d ? mine : Math.round(share(x) * 1000) / 1000);
}"""
"""The other weights share what one weight leaves of 1, in the browser; one that stands alone stays 1."""


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    note = lay_html()
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            preset, form, buttons = _lay_settings()
        with gr.Column(scale=3, min_width=320):
            said = lay_html()
            bins = gr.Plot(label="confidence by teacher", visible=False)
    survey, drawn = _lay_overviews()
    do = _Handlers(frame.services, form)
    weights = list(form.weights.values())
    asked = [frame.project, *form.inputs]
    drawn_by = [said, bins, buttons["store"], survey]
    numbers = {"fn": frame.guard(do.numbers, form), "inputs": asked, "outputs": drawn_by, **RAW}
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    for part in form.immediate:
        part.input(**numbers, **last)
    form.rules.input(frame.guard(do.show_rules, form), asked, list(form.groups.values()), **RAW, **last)
    for place, weight in enumerate(weights):
        script = _REBALANCE % (place, place, place)
        balanced = weight.input(None, weights, weights, js=script, **last)
        balanced.then(**numbers, **last)
    preset.input(frame.guard(do.set_out), [frame.project, preset], form.outputs, **last).success(**numbers, **last)
    listed = decide.build(frame, form, drawn_by)
    stored = buttons["store"].click(frame.guard(do.choose, form), asked, drawn_by, **RAW, **frame.quiet)
    frame.follow(stored.success(frame.guard(listed.first), listed.asked, listed.parts, **frame.quiet))
    fit_parts = [buttons["fit_note"], form.temperature]
    fitted = buttons["fit"].click(frame.guard(do.fit, form), asked, fit_parts, **RAW, **frame.quiet)
    fitted.success(**numbers, **last)
    survey.click(frame.guard(do.survey, form), asked, drawn, **RAW, **frame.quiet)
    frame.fill_once([note, *drawn_by, buttons["fit"], buttons["fit_note"], *form.outputs], do.start)


def _lay_settings() -> tuple[gr.Dropdown, SelectionForm, dict[str, Any]]:
    """What sets a preset, the settings, and the buttons."""
    presets = [(PRESETS.get(name).title, name) for name in PRESETS.names()]
    preset = gr.Dropdown(presets, value=None, label="Set all to a preset")
    rules, fields, groups = lay_rules()
    with gr.Accordion("Weights of the factors (they sum to 1)", open=True):
        weights = lay_weights()
    with gr.Accordion("Calibration", open=False):
        gr.Markdown(
            "A temperature divides the log-odds of every confidence. It changes no rank, but what passes the "
            f"threshold. It can be fitted where at least {LEAST_GOLDS} queries have a gold label; nothing is selected "
            "by gold."
        )
        temperature = gr.Number(1.0, label="Temperature (1: confidences as they are)", step=0.01)
        fit = gr.Button("Fit it to the gold labels", interactive=False)
        fit_note = lay_html()
    store = gr.Button("Select", variant="primary", interactive=False)
    form = SelectionForm(rules, fields, groups, weights, temperature)
    return preset, form, {"store": store, "fit": fit, "fit_note": fit_note}


def _lay_overviews() -> tuple[gr.Button, list[Any]]:
    """The button that draws the overviews, and what it fills."""
    with gr.Accordion("Overviews: likeness of teachers, coverage, other ways to select, map", open=False):
        survey = gr.Button("Draw the overviews", interactive=False)
        ways = lay_html()
        lines = gr.Plot(label="labels right among the kept; diamond: by its own rules", visible=False)
        with gr.Row():
            alike = gr.Plot(label="mean cosine by pair of teachers", visible=False)
            curve = gr.Plot(label="coverage against agreement", visible=False)
        plane = gr.Plot(label="map of rationales", visible=False)
    return survey, [ways, lines, alike, curve, plane]


def ways_html(ways: Comparison) -> str:
    """Ways to select beside each other: what each keeps by its own rules, and at equal numbers."""
    own = table_html(list_ways(ways), "the same samples, selected otherwise")
    matched = table_html(list_matched(ways), "labels right at equal numbers kept")
    return own + matched + notice_html("\n".join(say_comparison(ways)))


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each returns the values of its components in their order."""

    services: Services
    form: SelectionForm

    def numbers(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        return draw_numbers(self.services, project, settings.read)

    @only_guides
    def show_rules(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        return self.form.show_groups(settings.values[0])

    def choose(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        config = settings.read()
        self.services.select.select(project, config)
        self.services.calibrate.prepare(project, config)
        return self.numbers(project, settings)

    def set_out(self, project: str, preset: str) -> list[Any]:
        return self.form.show(self.services.projects.get(project), PRESETS.get(preset).config)

    def fit(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        fitted = self.services.calibrate.fit(project, settings.read())
        message = f"{say_fitted(fitted)} It is set above; nothing is stored until you select."
        return [notice_html(message), fitted.temperature]

    def survey(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        config = settings.read()
        overviews = self.services.survey.survey(project, config)
        points = self.services.survey.draw_map(project, config)
        return [
            ways_html(overviews.ways),
            gr.Plot(ways_plot(overviews.ways), visible=overviews.ways.scored > 0),
            gr.Plot(likeness(overviews), visible=True),
            gr.Plot(sweep(overviews), visible=True),
            gr.Plot(rationale_map(points), visible=True),
        ]

    def start(self, project: Project | None) -> list[Any]:
        if project is None:
            message = notice_html(NO_PROJECT)
            return ["", message, *[gr.update()] * (5 + len(self.form.outputs))]
        begun = self.services.select.begin(project.name)
        values = self.form.show(project, begun.config)
        golds = self.services.calibrate.count_golds(project.name)
        few = "" if golds >= LEAST_GOLDS else f"{golds} answered queries have a gold label, so none can be fitted."
        numbers = draw_numbers(self.services, project.name, lambda: begun.config)
        return [notice_html(begun.notice), *numbers, gr.Button(interactive=not few), notice_html(few), *values]
