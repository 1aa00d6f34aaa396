"""Select: what do I keep, and why?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.pages import decide
from app.pages.frame import Frame
from app.pages.plots import likeness, rationale_map, sweep
from app.pages.selection import FACTORS, draw_numbers, read_settings, stored_settings
from app.services import Services
from app.view import table_html, told_html
from storage.projects import Project

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
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            settings, store = _lay_settings()
        with gr.Column(scale=3, min_width=320):
            said = gr.HTML(padding=False)
            bins = gr.Plot(label="confidence by teacher", visible=False)
    survey, drawn = _lay_overviews()
    do = _Handlers(frame.services)
    weights = settings[-len(FACTORS) :]
    numbers = {"fn": frame.guard(do.numbers), "inputs": [frame.project, *settings], "outputs": [said, bins]}
    last: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    for part in settings[:3]:
        part.input(**numbers, **last)
    for place, weight in enumerate(weights):
        script = _REBALANCE % (place, place, place)
        balanced = weight.input(None, weights, weights, js=script, **last)
        balanced.then(**numbers, **last)
    listed = decide.build(frame, settings, [said, bins])
    stored = store.click(frame.guard(do.choose), [frame.project, *settings], [said, bins], **frame.quiet)
    frame.follow(stored.success(frame.guard(listed.first), listed.asked, listed.parts, **frame.quiet))
    survey.click(frame.guard(do.survey), [frame.project, *settings], drawn, **frame.quiet)
    frame.fill_once([said, bins, *settings], do.start)


def _lay_settings() -> tuple[list[Any], gr.Button]:
    """The components of the settings, in the order of `read_settings`, and the button that selects."""
    threshold = gr.Slider(0, 1, 0.95, step=0.005, label="Threshold of confidence")
    with gr.Accordion("Weights of the factors (they sum to 1)", open=True):
        weights = []
        for pair in zip(FACTORS[::2], FACTORS[1::2], strict=True):
            with gr.Row():
                weights += [
                    gr.Slider(0, 1, 0.0, step=0.001, label=name.replace("_ds", ", Dawid-Skene"), min_width=130)
                    for name in pair
                ]
    method = gr.Dropdown(_METHODS, label="Method")
    disagree = gr.Dropdown(_DISAGREE, value="keep", label="Where labels differ")
    store = gr.Button("Select", variant="primary")
    return [threshold, method, disagree, gr.Textbox(visible=False), *weights], store


def _lay_overviews() -> tuple[gr.Button, list[Any]]:
    """The button that draws the overviews, and what it fills."""
    with gr.Accordion("Overviews: likeness of teachers, coverage, other ways to select, map", open=False):
        survey = gr.Button("Draw the overviews")
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
            return [told, *[gr.update()] * (1 + 4 + len(FACTORS))]
        values = stored_settings(self.services, project)
        return [*self.numbers(project.name, *values), *values]
