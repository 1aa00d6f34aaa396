"""Kit: every part in every state on one page, for whoever builds pages (`TACIT_KIT=1 tacit serve`, then /kit)."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr

from app.web.address import View, read_view
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.pages.kit_basics import BASICS
from app.web.pages.kit_preparing import PREPARING
from app.web.pages.kit_students import STUDENTS
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.picking import PICKING

_STYLE = """<style>
.kit-gap { height: 12px; }
.kit-window { position: relative; transform: translateZ(0); border: 1px dashed var(--t-line-strong); }
.kit-window .toast, .kit-window .running { animation: none !important; }
.kit-window:has(> .page-head) { padding: 12px; }
.kit-window:has(> .toast) { height: 112px; } .kit-window:has(> .topbar) { height: var(--t-bar); }
.kit-window > .strip { position: static !important; max-height: none !important; }
.kit-rails { display: flex; flex-wrap: wrap; gap: 16px; } .kit-rails > * { flex: 0 1 216px; min-width: 0; }
.kit-icons { display: flex; flex-wrap: wrap; gap: 8px 24px; } .kit-icons svg { width: 20px; height: 20px; }
.kit-icons span { display: flex; align-items: center; gap: 8px; }
</style>"""
"""Holds in their places the parts that pages lay over everything: `kit_basics.in_window`."""


def build(frame: Frame) -> None:
    """Lay the page out."""
    lay_html(_STYLE + "<p>Every name and number below is made up.</p>")
    for title, html in draw_parts().items():
        lay_html(f"<h2>{title}</h2>{html}")
    lay_html("<h2>A long list that works</h2>")
    listed = lay_html(js_on_load=LISTING + PICKING)
    frame.fill_view([listed], [], lambda project, address: _listing(read_view(address)))
    lay_html("<h2>Fields</h2>")
    with gr.Row():
        gr.Textbox("a text", label="Field", info="what it is for")
        gr.Dropdown(["one", "another"], value="one", label="Choice")
        gr.Slider(0, 1, 0.4, label="Slider")
        gr.Button("Primary", variant="primary")
        gr.Button("Secondary")
        gr.Button("Danger", variant="stop")
        gr.Button("Not now", interactive=False)
    with gr.Accordion("More", open=False):
        gr.Checkbox(True, label="a check box")
        gr.CheckboxGroup(["one", "another"], value=["one"], label="Several")


def draw_parts() -> dict[str, str]:
    """The parts by title, each in all its states."""
    return {title: _states_html(draw()) for title, draw in {**BASICS, **PREPARING, **STUDENTS}.items()}


def _states_html(states: Mapping[str, str]) -> str:
    """One state below the other under its name; a state in which the part draws nothing says so."""
    nothing, style = "<p class='quiet'>draws nothing</p>", "margin: 20px 0 6px !important; color: var(--t-ink-3)"
    return "".join(
        f"<h3 class='kit-state' style='{style}'>{name}</h3>{html or nothing}" if name else html
        for name, html in states.items()
    )


def _listing(view: View) -> str:
    rows = [{"id": str(n), "text": f"query {n}", "kept": n % 3} for n in range(1, 53) if view.search in f"query {n}"]
    begin = (view.page - 1) * 10
    return listing_html(
        Listing(
            rows=rows[begin : begin + 10],
            columns=[Column("text", "Query", "text"), Column("kept", "Kept")],
            view=view,
            begin=begin,
            total=len(rows),
            size=10,
            noun="queries",
            filters={"all": "All", "none": "None kept"},
            searched="Search the queries",
            picks=[("keep", "Keep"), ("drop", "Drop")],
            csv=True,
        )
    )
