"""Kit: every part in every state on one page, for whoever builds pages (`TACIT_KIT=1 tacit serve`, then /kit)."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from app.usecases.playground.answers import Pane
from app.usecases.projects.status import RunningJob
from app.web.address import View, read_view
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.candidates import Candidate, candidates_html
from app.web.parts.code import code_html, command_html
from app.web.parts.links import Link, links_html
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.matrix import matrix_html
from app.web.parts.messages import Tone, empty_html, guide_html, notice_html, term_html
from app.web.parts.pipeline import Narrowing, funnel_html, pipeline_html
from app.web.parts.shell import bar_html, strip_html
from app.web.parts.tables import Spark, table_html
from app.web.parts.texts import columns_html, log_html, marked_html, panes_html
from app.web.parts.tiles import Tile, badge_html, card_html, tiles_html, verdict_html
from engine.plans.order import PlanOrder
from engine.plans.registry import make_plan

_TONES: tuple[Tone, ...] = ("", "good", "warn", "bad")


def build(frame: Frame) -> None:
    """Lay the page out."""
    for title, draw in _PARTS.items():
        lay_html(f"<h2>{title}</h2>")
        lay_html(draw())
    lay_html("<h2>A long list</h2>")
    listed = lay_html(js_on_load=LISTING)
    frame.fill_view([listed], [], lambda project, address: _listing(read_view(address)))
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
        )
    )


def _tiles() -> str:
    return tiles_html([Tile("1,204", "samples kept", "of 4,800", tone) for tone in _TONES])


def _messages() -> str:
    notices = "".join(notice_html(f"Tone {tone or 'plain'}: what happened, what to do.", tone=tone) for tone in _TONES)
    guide = guide_html("Nothing to ask yet.", Link("To Data", "/data", ""))
    return notices + guide + f"<p>{term_html('DCRS', 'Dual-Criteria Rejection Sampling')}</p>"


def _verdicts() -> str:
    good = verdict_html("Ship stage 3", "0.70 with 4.9 tokens, 0.62 over the untrained student.", True)
    return good + "<br>" + verdict_html("Nothing worth shipping yet", "n = 30: too few to tell.", False)


def _texts() -> str:
    pair = marked_html(("ann", "first add, then halve"), ("ben", "first add, then double"))
    panes = panes_html([Pane("stage 3", "Answer: 9", 5, 0.2, 0.0, over=True), Pane("ann", "First", over=False)])
    return pair + columns_html([("teacher", "long"), ("student", "short")]) + panes + log_html("update 1 loss 2.31")


def _candidates() -> str:
    cards = [
        Candidate(
            "1", 1, "ann", ["label 9", "confidence 0.971"], "first add, <ins>then halve</ins>", True, "Kept by hand"
        ),
        Candidate("2", 2, "ben", ["label 9"], "first add", False, "Not in the pair", original="at first"),
    ]
    cosines = matrix_html(["1 ann", "2 ben"], [[1, 0.42], [0.42, 1]], "Cosine similarity", [0, 1])
    return candidates_html(cards, "1", "Samples") + cosines


def _progress() -> str:
    running = RunningJob("1", "demo", "student", "running", "stage2", 40, 150, 200.0)
    return bar_html(40, 150) + "<div style='position:static'>" + strip_html([running]) + "</div>"


def _funnel() -> str:
    return funnel_html(
        [
            Narrowing("Queries", 480, "", "#"),
            Narrowing("Samples", 1_440, "22 failed", "#"),
            Narrowing("Kept", 875, "565 rejected", "#"),
            Narrowing("Compressed", 0, "", "#"),
        ]
    )


_PARTS: dict[str, Callable[[], str]] = {
    "Tiles": _tiles,
    "Messages": _messages,
    "Verdicts": _verdicts,
    "Badges": lambda: " ".join(badge_html(tone or "plain", tone) for tone in ("", "good", "warn", "bad", "accent")),
    "Empty": lambda: empty_html("No queries yet", "Import a file to begin.", Link("Import", "/data", "")),
    "Cards": lambda: (
        f"<div class='cards'>{card_html('A card', '<p>inside</p>', 'a note')}</div>"
        + links_html("Ways", [(Link("Label", "/label", ""), "teachers answer")])
    ),
    "Tables": lambda: table_html([{"run": "first", "loss": Spark([3, 2, 1]), "score": 0.7, "why": None}], "a caption"),
    "Code": lambda: code_html("tacit label demo") + command_html(["tacit", "train", "demo", "--name", "a b"]),
    "Texts": _texts,
    "Candidates": _candidates,
    "Progress": _progress,
    "Plan": lambda: pipeline_html(make_plan(PlanOrder())),
    "Funnel": _funnel,
}
