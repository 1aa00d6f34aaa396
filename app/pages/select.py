"""Select: what do I keep, and why?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.pages.frame import Frame, guard
from app.pages.plots import heatmap, histogram
from app.services import Services
from app.usecases.browsing import Detail
from app.view import marked_html, table_html, told_html
from engine.config import COMPUTED_FACTORS, SelectionConfig, read_config
from engine.errors import NotFound, StateError
from engine.tasks import get_task
from storage.projects import Project

_FACTORS = ("reasoning", "answer", "clarity", *COMPUTED_FACTORS)
_DISAGREE = [("keep both", "keep"), ("keep the majority's", "majority"), ("drop the query", "drop")]
_SHOW = ["all", "labels differ", "by hand", "nothing kept"]


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    services = frame.services
    gr.Markdown("## Select\nThe confident samples of a query, and of those the two that reason least alike.")
    with gr.Row():
        with gr.Column(scale=2, min_width=280):
            threshold = gr.Slider(0, 1, 0.95, step=0.005, label="Threshold of confidence")
            with gr.Row():
                weights = [gr.Number(0.0, label=f"weight of {name}", minimum=0, min_width=90) for name in _FACTORS]
            with gr.Row():
                method = gr.Dropdown(
                    [("confidence, then the pair", "confidence"), ("keep all", "none")], label="Method"
                )
                disagree = gr.Dropdown(_DISAGREE, value="keep", label="Where labels differ")
            store = gr.Button("Select", variant="primary")
        with gr.Column(scale=3, min_width=320):
            said = gr.HTML(padding=False)
            bins = gr.Plot(label="confidence by teacher", visible=False)
    with gr.Row():
        search = gr.Textbox(label="Search the queries", max_length=200)
        which = gr.Dropdown(_SHOW, value="all", label="Show")
        back, forward, undo = gr.Button("First page"), gr.Button("Next page"), gr.Button("Undo the last decision")
    after = gr.State(0)
    queries = gr.HTML(padding=False)
    chosen = gr.Dropdown([], label="Query to look at", interactive=True)
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            detail = gr.HTML(padding=False)
        with gr.Column(scale=2, min_width=320):
            matrix = gr.Plot(label="cosine similarity of its rationales", visible=False)
            sample = gr.Dropdown([], label="Sample to decide on", interactive=True)
            with gr.Row():
                keep, drop = gr.Button("Keep"), gr.Button("Drop", variant="stop")
    few = gr.Textbox(visible=False)
    settings = [threshold, method, disagree, few, *weights]
    page, one, do = [queries, chosen, after], [detail, matrix, sample], _Handlers(services)
    frame.fill_once([said, bins, *settings, *page], do.start)
    private: dict[str, Any] = {"api_visibility": "private"}
    for part in (threshold.release, *(field.input for field in (method, disagree, *weights))):
        part(guard(do.numbers), [frame.project, *settings], [said, bins], show_progress="hidden", **private)
    store.click(guard(do.choose), [frame.project, *settings], [said, bins, *page], **private)
    for event, start_at in ((back.click, True), (search.submit, True), (which.change, True), (forward.click, False)):
        first = gr.State(0) if start_at else after
        event(guard(do.turn), [frame.project, search, which, first], page, **private)
    chosen.input(guard(do.look), [frame.project, chosen], one, **private)
    for button, action in ((keep, "keep"), (drop, "drop")):
        inputs = [frame.project, chosen, sample, *settings]
        button.click(guard(do.decide(action)), inputs, [said, bins, *one], **private)
    undo.click(guard(do.take_back), [frame.project, chosen, *settings], [said, bins, *one], **private)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each returns the values of its components in their order."""

    services: Services

    def numbers(self, project: str, *values: Any) -> list[Any]:
        try:
            found = self.services.select.preview(project, _config(*values))
        except StateError as error:
            return [told_html(str(error)), gr.Plot(visible=False)]
        return [_numbers(found.counts), gr.Plot(histogram(found.histogram, values[0]), visible=True)]

    def choose(self, project: str, *values: Any) -> list[Any]:
        self.services.select.select(project, _config(*values))
        return [*self.numbers(project, *values), *self.turn(project, "", "all", 0)]

    def turn(self, project: str, search: str, which: str, after: int) -> list[Any]:
        rows = self.services.browse.queries(project, search, which, after)
        shown = [{k: v for k, v in row.items() if k not in ("position", "id")} for row in rows]
        names = [(row["query"][:80], row["id"]) for row in rows]
        table = table_html(shown, empty="No query here. Select first, or search for something else.")
        return [table, gr.Dropdown(choices=names, value=None), rows[-1]["position"] if rows else 0]

    def look(self, project: str, query_id: str | None) -> list[Any]:
        if not query_id:
            return ["", gr.Plot(visible=False), gr.Dropdown(choices=[], value=None)]
        found = self.services.browse.detail(project, query_id)
        names = [(f"{row['teacher']}: {row['label']}", row["id"]) for row in found.samples]
        drawn = gr.Plot(heatmap(found), visible=True) if found.cosines is not None else gr.Plot(visible=False)
        return [_detail(found), drawn, gr.Dropdown(choices=names, value=names[0][1] if names else None)]

    def decide(self, action: Any) -> Any:
        def work(project: str, query_id: str, sample_id: str | None, *values: Any) -> list[Any]:
            if not sample_id:
                raise StateError("Choose a query and a sample first.")
            self.services.select.overrule(project, [sample_id], action)
            return [*self.numbers(project, *values), *self.look(project, query_id)]

        return work

    def take_back(self, project: str, query_id: str | None, *values: Any) -> list[Any]:
        undone = self.services.select.undo(project)
        told = f"{undone['action']} of {len(undone['samples'])} samples is undone" if undone else "nothing to undo"
        found = self.numbers(project, *values)
        return [told_html(told) + found[0], found[1], *self.look(project, query_id)]

    def start(self, project: Project | None) -> list[Any]:
        if project is None:
            return [told_html("Make a project first, on the page Projects."), *[gr.update()] * (5 + len(_FACTORS) + 3)]
        config = _stored(self.services, project)
        values = _values(project, config)
        return [*self.numbers(project.name, *values), *values, *self.turn(project.name, "", "all", 0)]


def _config(threshold: float, method: str, disagree: str, few: str, *weights: float) -> SelectionConfig:
    named = dict(zip(_FACTORS, weights, strict=True))
    given = {name: weight for name, weight in named.items() if weight} or dict.fromkeys(_FACTORS[:1], 0.0)
    values = {"threshold": threshold, "method": method, "disagreement": disagree, "few": few or "keep"}
    return read_config(SelectionConfig, values | {"weights": given})


def _stored(services: Services, project: Project) -> SelectionConfig:
    try:
        return services.context.selections.latest(project.id).config
    except NotFound:
        return SelectionConfig()


def _values(project: Project, config: SelectionConfig) -> list[Any]:
    weights = config.weights or dict.fromkeys(get_task(project.config.task).factors, 1.0)
    return [
        config.threshold,
        config.method,
        config.disagreement,
        config.few,
        *(weights.get(name, 0.0) for name in _FACTORS),
    ]


def _numbers(counts: dict[str, Any]) -> str:
    told = (
        f"kept {counts['kept']:,} of {counts['samples']:,} samples, for {counts['queries_kept']:,} of "
        f"{counts['queries']:,} queries; the labels differ in {counts['label_disagreements']:,}"
    )
    warnings = "".join(
        told_html(f"{row['teacher']}: {row['passed']:.0%} pass; the threshold separates nothing", bad=True)
        for row in counts["spread"]
        if not row["separates"]
    )
    reasons = [{"reason": name.replace("_", " "), "samples": number} for name, number in counts["reasons"].items()]
    return told_html(told) + warnings + table_html(reasons)


def _detail(found: Detail) -> str:
    rows = [
        {
            "teacher": row["teacher"],
            "label": row["label"],
            "confidence": row["confidence"],
            "why": str(row["reason"] or "not selected yet").replace("_", " "),
        }
        for row in found.samples
    ]
    pair = [row for row in found.samples if str(row["reason"]).startswith("kept")][:2]
    beside = marked_html(*((row["teacher"], row["rationale"]) for row in pair)) if len(pair) == 2 else ""
    others = [
        {"teacher": r["teacher"], "rationale": r["rationale"]} for r in found.samples if r not in pair or not beside
    ]
    return told_html(found.query) + table_html(rows) + beside + table_html(others)
