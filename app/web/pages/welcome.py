"""Welcome: the hosted demo's first page, which says in three minutes what this is."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from app.hosted_demo.shipped_project import NAME
from app.hosted_demo.visitors import Visitors
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.links import Link, links_html
from app.web.parts.messages import note_html, notice_html
from app.web.parts.results import example_html, result_html
from app.web.parts.tour import STOPS, tour_url
from app.web.proxies import visitor_of
from storage.projects import Project

_GO = "(name) => { window.location.href = '/overview?project=' + encodeURIComponent(name); }"
_GO_LABEL = _GO.replace("/overview", "/label")
_COPY = (
    "Finished like the demo, and yours to change: select otherwise, edit rationales, vote. It lives for three hours at "
    "most, or one hour unused; its address is its key, and this browser finds it again."
)
_FRESH = "Begin with a few of its queries: label, select and train a smoke test live."


def build(frame: Frame, visitors: Visitors) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame, visitors)
    with gr.Row(elem_classes="top first"):
        with gr.Column(scale=2, min_width=320):
            result = lay_html()
        with gr.Column(scale=1, min_width=260, elem_classes="doors"):
            tour = lay_html()
            copy = gr.Button("Make a copy of my own")
            lay_html(f"<p>{_COPY}</p>")
            fresh = gr.Button("Run it yourself")
            lay_html(f"<p>{_FRESH}</p>")
    example, way = lay_html(), lay_html()
    demo = gr.Textbox(NAME, visible=False)
    made, begun = gr.Textbox(visible=False), gr.Textbox(visible=False)
    frame.fill_once([result, tour, example, way], do.show)
    copied = copy.click(frame.guard(do.copy), demo, made, **frame.quiet)
    copied.success(None, made, None, js=_GO, **frame.quiet)
    afresh = fresh.click(frame.guard(do.begin_afresh), demo, begun, **frame.quiet)
    afresh.success(None, begun, None, js=_GO_LABEL, **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do."""

    frame: Frame
    visitors: Visitors

    def show(self, opened: Project | None) -> list[str]:
        """The demo's own result and one answer of its student; the tour through the demo or the visitor's copy."""
        services = self.frame.services
        own = opened is not None and opened.name != NAME
        address = self.frame.policy.address(opened) if opened else NAME
        result = services.results.find(services.projects.get(NAME))
        example = services.results.example(result) if result else None
        going = (
            note_html("Your copy is still there: ", Link("continue with it", "/overview", address), "own")
            if own
            else ""
        )
        drawn = result_html(result) if result else notice_html("The demo project has no scored run.")
        answer = f"<h2>The same query, answered twice</h2>{example_html(example)}" if example else ""
        stops = [(Link(stop.page, stop.path, address), stop.text) for stop in STOPS]
        title = "The pages of your copy" if own else "The pages of the demo"
        return [going + drawn, _tour_html(address), answer, links_html(title, stops)]

    def copy(self, project: str, request: gr.Request) -> str:
        return self.visitors.copy(visitor_of(request))

    def begin_afresh(self, project: str, request: gr.Request) -> str:
        return self.visitors.begin_afresh(visitor_of(request))


def _tour_html(address: str) -> str:
    return (
        f"<a class='button primary' href='{tour_url(1, address)}'>Take the tour</a>"
        f"<p>{len(STOPS)} stops, a few minutes: from teachers' answers to the student. Nothing is changed.</p>"
    )
