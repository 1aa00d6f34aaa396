"""Select: what do I keep, and why?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.pages import decide
from app.pages.frame import Frame
from app.pages.plots import likeness, rationale_map, sweep
from app.pages.selection import (
    FACTOR_NAMES,
    FACTOR_NOTES,
    FACTORS,
    RAW,
    begin_settings,
    draw_numbers,
    hold_settings,
    read_settings,
)
from app.services import Services
from app.usecases.calibrating import say_fitted
from app.view import table_html, told_html
from engine.calibration import LEAST_GOLDS
from engine.config import SELECTION_PRESETS
from storage.projects import Project

_PRESETS = [("the paper's: the teachers' own scores", "paper"), ("recordings: agreement", "recordings")]
_DISAGREE = [("keep both", "keep"), ("keep the majority's", "majority"), ("drop the query", "drop")]
_METHODS = [("confidence, then the pair", "confidence"), ("keep all", "none")]
_REBALANCE = """(...w) => {
  const mine = Math.min(1, Math.max(0, w[%d])), rest = w.reduce((sum, x, i) => i === %d ? sum : sum + x, 0);
  const share = (x) => rest > 0 ? x * (1 - mine) / rest : (1 - mine) / (w.length - 1);
  return w.map((x, i) => i === %d ? mine : Math.round(share(x) * 1000) / 1000);
}"""
"""The other weights share what one weight leaves of 1, in the browser."""


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    gr.Markdown("## Select\nThe confident samples of a query, and of those the two that reason least alike.")
    note = gr.HTML(padding=False)
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            preset, settings, buttons = _lay_settings()
        with gr.Column(scale=3, min_width=320):
            said = gr.HTML(padding=False)
            bins = gr.Plot(label="confidence by teacher", visible=False)
    survey, drawn = _lay_overviews()
    do = _Handlers(frame.services)
    weights = settings[4 : 4 + len(FACTORS)]
    asked = [frame.project, *settings]
    drawn_by = [said, bins, buttons["store"], survey]
    numbers = {"fn": frame.guard(do.numbers), "inputs": asked, "outputs": drawn_by, **RAW}
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    for part in (*settings[:3], settings[-1]):
        part.input(**numbers, **last)
    for place, weight in enumerate(weights):
        script = _REBALANCE % (place, place, place)
        balanced = weight.input(None, weights, weights, js=script, **last)
        balanced.then(**numbers, **last)
    preset.input(frame.guard(do.set_out), [frame.project, preset], settings, **last).success(**numbers, **last)
    listed = decide.build(frame, settings, drawn_by)
    stored = buttons["store"].click(frame.guard(do.choose), asked, drawn_by, **RAW, **frame.quiet)
    frame.follow(stored.success(frame.guard(listed.first), listed.asked, listed.parts, **frame.quiet))
    fitted = buttons["fit"].click(frame.guard(do.fit), asked, [buttons["told"], settings[-1]], **RAW, **frame.quiet)
    fitted.success(**numbers, **last)
    survey.click(frame.guard(do.survey), asked, drawn, **RAW, **frame.quiet)
    frame.fill_once([note, *drawn_by, buttons["fit"], buttons["told"], *settings], do.start)


def _lay_settings() -> tuple[gr.Dropdown, list[Any], dict[str, Any]]:
    """What sets a preset, the components of the settings in the order of `read_settings`, and the buttons."""
    preset = gr.Dropdown(_PRESETS, value=None, label="Set all to a preset")
    threshold = gr.Slider(0, 1, 0.95, step=0.005, label="Threshold of confidence")
    with gr.Accordion("Weights of the factors (they sum to 1)", open=True):
        weights = []
        for pair in zip(FACTORS[::2], [*FACTORS[1::2], None], strict=False):
            with gr.Row():
                weights += [_lay_weight(name) for name in pair if name]
    method = gr.Dropdown(_METHODS, label="Method")
    disagree = gr.Dropdown(_DISAGREE, value="keep", label="Where labels differ")
    few = gr.Textbox(visible=False)
    with gr.Accordion("Calibration", open=False):
        gr.Markdown(
            "A temperature divides the log-odds of every confidence. It changes no rank, but what passes the "
            f"threshold. It can be fitted where at least {LEAST_GOLDS} queries have a gold label; nothing is selected "
            "by gold."
        )
        temperature = gr.Number(1.0, label="Temperature (1: confidences as they are)", step=0.01)
        fit = gr.Button("Fit it to the gold labels", interactive=False)
        told = gr.HTML(padding=False)
    store = gr.Button("Select", variant="primary", interactive=False)
    settings = [threshold, method, disagree, few, *weights, temperature]
    return preset, settings, {"store": store, "fit": fit, "told": told}


def _lay_weight(name: str) -> gr.Slider:
    label, info = FACTOR_NAMES.get(name, name), FACTOR_NOTES.get(name)
    return gr.Slider(0, 1, 0.0, step=0.001, label=label, info=info, min_width=130)


def _lay_overviews() -> tuple[gr.Button, list[Any]]:
    """The button that draws the overviews, and what it fills."""
    with gr.Accordion("Overviews: likeness of teachers, coverage, other ways to select, map", open=False):
        survey = gr.Button("Draw the overviews", interactive=False)
        ways = gr.HTML(padding=False)
        with gr.Row():
            alike = gr.Plot(label="mean cosine by pair of teachers", visible=False)
            curve = gr.Plot(label="coverage against agreement", visible=False)
        plane = gr.Plot(label="map of rationales", visible=False)
    return survey, [ways, alike, curve, plane]


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each returns the values of its components in their order."""

    services: Services

    def numbers(self, project: str, *values: Any) -> list[Any]:
        return draw_numbers(self.services, project, values)

    def choose(self, project: str, *values: Any) -> list[Any]:
        self.services.select.select(project, read_settings(*values))
        return self.numbers(project, *values)

    def set_out(self, project: str, preset: str) -> list[Any]:
        return hold_settings(self.services.context.projects.get(project), SELECTION_PRESETS[preset])

    def fit(self, project: str, *values: Any) -> list[Any]:
        found = self.services.calibrate.fit(project, read_settings(*values))
        told = f"{say_fitted(found)} It is set above; nothing is stored until you select."
        return [told_html(told), found.temperature]

    def survey(self, project: str, *values: Any) -> list[Any]:
        config = read_settings(*values)
        found = self.services.survey.survey(project, config)
        points = self.services.survey.draw_map(project, config)
        return [
            table_html(found.other_ways, "the same samples, selected otherwise"),
            gr.Plot(likeness(found), visible=True),
            gr.Plot(sweep(found), visible=True),
            gr.Plot(rationale_map(points), visible=True),
        ]

    def start(self, project: Project | None) -> list[Any]:
        if project is None:
            told = told_html("Make a project first, on the page Projects.")
            return ["", told, *[gr.update()] * (5 + 5 + len(FACTORS))]
        values, notice = begin_settings(self.services, project)
        golds = self.services.calibrate.count_golds(project.name)
        few = "" if golds >= LEAST_GOLDS else f"{golds} answered queries have a gold label, so none can be fitted."
        numbers = self.numbers(project.name, *values)
        return [told_html(notice), *numbers, gr.Button(interactive=not few), told_html(few), *values]
