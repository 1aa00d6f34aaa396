"""Welcome: the hosted demo's first page, which says in three minutes what this is."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import gradio as gr

from app.hosted_demo.shipped_project import NAME
from app.hosted_demo.visitors import Visitors
from app.usecases.evaluation.comparisons import System
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.links import Link, links_html
from app.web.parts.messages import note_html, notice_html
from app.web.plots import tradeoff
from storage.projects import Project

_GO = "(name) => { window.location.href = '/evaluate?project=' + encodeURIComponent(name); }"
_GO_LABEL = _GO.replace("/evaluate", "/label")
_WAY = (
    ("Label", "/label", "three teachers answered unlabeled queries, each with its reasoning and a price"),
    ("Select", "/select", "the confident samples were kept, and of each query the two that reason least alike"),
    ("Compress", "/compress", "teachers shortened their reasoning to what the student could follow"),
    ("Train", "/train", "a small student learned full reasoning, short reasoning, then answers only"),
    ("Evaluate", "/evaluate", "students, teachers and baselines on queries that nobody trained on"),
    ("Playground", "/playground", "ask them yourself, side by side"),
)


def build(frame: Frame, visitors: Visitors) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame, visitors)
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            said = lay_html()
            way = lay_html()
        with gr.Column(scale=3, min_width=320):
            plot = gr.Plot(label="score against output tokens", visible=False)
    with gr.Row():
        copy = gr.Button("Make a copy of my own", variant="primary")
        fresh = gr.Button("Run it yourself")
    gr.Markdown(
        "A copy is finished like the demo, and yours to change: select otherwise, edit rationales, vote. 'Run it "
        "yourself' starts with a few queries: label, select, train a smoke test live. Copies live for three hours at "
        "most, or one hour unused; their address is their key, and this browser finds the last one again."
    )
    demo = gr.Textbox(NAME, visible=False)
    made, begun = gr.Textbox(visible=False), gr.Textbox(visible=False)
    frame.fill_once([said, way, plot], do.show)
    copied = copy.click(frame.guard(do.copy), demo, made, **frame.quiet)
    copied.success(None, made, None, js=_GO, **frame.quiet)
    afresh = fresh.click(frame.guard(do.begin_afresh), demo, begun, **frame.quiet)
    afresh.success(None, begun, None, js=_GO_LABEL, **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    frame: Frame
    visitors: Visitors

    def show(self, opened: Project | None) -> list[object]:
        """The demo's own figures, and the way through the pages of the demo or of the visitor's copy."""
        services = self.frame.services
        own = opened is not None and opened.name != NAME
        address = self.frame.policy.address(opened) if opened else NAME
        runs = services.reading.runs_of(services.projects.get(NAME).id)
        systems = services.compare.systems(runs[0]) if runs else []
        way = [(Link(name, path, address), text) for name, path, text in _WAY]
        drawn = gr.Plot(tradeoff(systems), visible=bool(systems))
        going = note_html("Your copy is still there: ", Link("go on with it", "/label", address), "own") if own else ""
        title = "The way through your copy" if own else "The way through"
        return [going + notice_html(_headline(systems)), links_html(title, way), drawn]

    def copy(self, project: str, request: gr.Request) -> str:
        return self.visitors.copy(_address(request))

    def begin_afresh(self, project: str, request: gr.Request) -> str:
        return self.visitors.begin_afresh(_address(request))


def _address(request: gr.Request) -> str:
    """Where a visitor comes from; of IPv6, the network that one household has (RFC 6177)."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host


def _headline(systems: list[System]) -> str:
    by_name = {system.report.name: system.report for system in systems}
    ship = next((system.report for system in systems if system.ship), None)
    before, first = by_name.get("vanilla-fewshot"), by_name.get("stage1")
    if ship is None or before is None or first is None:
        return "The demo project is being looked at; its pages show every step."
    return (
        f"Here: a student of 135 million weights, {ship.n} unseen puzzles. Untrained, with worked examples: "
        f"{before.accuracy:.0%} right in {before.mean_output_tokens:.0f} tokens. After full reasoning (stage 1): "
        f"{first.accuracy:.0%} in {first.mean_output_tokens:.0f}. What the page Evaluate says to ship ({ship.name}): "
        f"{ship.accuracy:.0%} in {ship.mean_output_tokens:.0f}. What it does not beat, the page Evaluate says too."
    )
