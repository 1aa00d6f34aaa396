"""Kit: every part in every state on one page, for whoever builds pages (`TACIT_KIT=1 tacit serve`, then /kit)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import gradio as gr

from app.usecases.compression.reviews import Summary
from app.usecases.labelling.progress import Asking, TeacherProgress
from app.usecases.playground.panes import Pane
from app.usecases.projects.next_steps import next_step, status_of
from app.usecases.projects.status import ProjectCard, RunningJob
from app.web.address import View, read_view
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.candidates import Candidate, candidates_html
from app.web.parts.code import code_html, command_html
from app.web.parts.histogram import histogram_html
from app.web.parts.labelling import failures_html, progress_html, quote_tiles_html
from app.web.parts.links import Link, links_html
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.matrix import matrix_html
from app.web.parts.messages import Tone, empty_html, guide_html, notice_html, term_html
from app.web.parts.panes import asked_html, panes_html
from app.web.parts.picking import PICKING
from app.web.parts.pipeline import Narrowing, funnel_html, pipeline_html
from app.web.parts.projects import project_cards_html
from app.web.parts.rationales import compression_tiles, rationale_html, versions_html
from app.web.parts.scatter import Dot, scatter_html
from app.web.parts.shell import bar_html, strip_html
from app.web.parts.tables import Spark, table_html
from app.web.parts.texts import columns_html, log_html, marked_html
from app.web.parts.tiles import Tile, badge_html, card_html, tiles_html, verdict_html
from app.web.parts.tour import STOPS, tour_html
from app.web.theme import stage_colour, teacher_colour
from engine.labelling.quote import Quote
from engine.plans.order import PlanOrder
from engine.plans.registry import make_plan
from engine.values import Job, JobStatus
from storage.standings import Standing

_TONES: tuple[Tone, ...] = ("", "good", "warn", "bad")


def build(frame: Frame) -> None:
    """Lay the page out."""
    for title, draw in _PARTS.items():
        lay_html(f"<h2>{title}</h2>")
        lay_html(draw())
    lay_html("<h2>A long list</h2>")
    listed = lay_html(js_on_load=LISTING + PICKING)
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
            picks=[("keep", "Keep"), ("drop", "Drop")],
            csv=True,
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
    return pair + columns_html([("teacher", "long"), ("student", "short")]) + log_html("update 1 loss 2.31")


def _answers() -> str:
    panes = [
        Pane("stage3 · f8230546", "Answer: 9", 5, 0.2, over=True, right=True),
        Pane("ann", "First 4 and 5.\nAnswer: 8", 40, 2.1, 0.0021, over=True, right=False),
        Pane("ben", "First", over=False),
        Pane("cem", over=True, message="rate_limit: slow down"),
    ]
    asked = asked_html("What is 4 + 5?", ("q", "What is 4 + 5?"), "9")
    return asked + panes_html(
        panes, {"stage3 · f8230546": stage_colour("stage3"), "ann": teacher_colour(["ann"], "ann")}
    )


def _rationales() -> str:
    whole = Summary(48, 180.0, 61.0, 45, 48, 3, 40, 12, 12, 2, reviewed=True, waiting=True, asking=1)
    row = {
        "sample": "s",
        "version": 2,
        "origin": "edited",
        "teacher": "ann",
        "label": "9",
        "query": "What is 4 + 5?",
        "original": "First take 4, then add 5.",
        "compressed": "4 + 5",
        "student": "4 and 5.\nAnswer: 8",
        "tokens": (9, 8, 3),
        "check": "edited, answer preserved (level 1)",
        "preserved": True,
        "approved": True,
        "flags": ("student:other label", "answer preserved (level 1)"),
    }
    versions = [{"version": 1, "origin": "compressed", "approved": False, "text": "4 + 5"}]
    return compression_tiles(whole) + rationale_html(row, "A newer version came in.") + versions_html(versions)


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


def _scatter() -> str:
    dots = [Dot(5, 0.7, "student", "#0f7d5d", "student 0.70"), Dot(80, 0.9, "teacher", "#9333ea", "teacher 0.90")]
    return scatter_html([*dots, Dot(40, 0.5, "another", "#4350d0")], "output tokens an answer", "accuracy")


def _projects() -> str:
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    counts = {"queries": 300, "samples": 875, "teachers": 3, "selections": 1, "runs": 1, "reported": 0, "jobs": 0}
    cards = [
        ProjectCard(at, "Multiple choice", status_of(at), next_step(at, ships=False))
        for status in ("running", "waiting", "stopped", None)
        for at in [
            Standing(
                id="1",
                name=f"run {status}",
                archived=status is None,
                last_run=status,
                exports=0,
                cost=Decimal("1.25"),
                unknown_cost=3,
                changed=now.replace(tzinfo=None),
                **counts,
            )
        ]
    ]
    return project_cards_html(cards, now)


def _labelling() -> str:
    parts = [
        TeacherProgress("ann", 120, 480, 2, 131, 48_000, Decimal("0.4132"), 0, 2.1, 171.0),
        TeacherProgress("ben", 0, None, 0, 0, 0, Decimal(0), 3, None, None),
    ]
    job = Job("1", "p", None, "label", JobStatus.RUNNING, {}, "")
    amounts = Decimal("1.2"), Decimal("2.5"), 90.0, 840.0
    quote = Quote("ann", "m", 480, 90_000, 120_000, 40_000, 60_000, *amounts, "$2 in, $8 out a million", "bounds")
    failed = [{"teacher": "ann", "error": "timeout", "n": 2}, {"teacher": "ben", "error": "unparsable", "n": 31}]
    shown = [quote_tiles_html([quote]), progress_html(Asking(job, parts, Decimal(9), None, 1.0, 2.0))]
    return "<br>".join([*shown, failures_html(failed, "timeout")])


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
    "Answers": _answers,
    "Rationales": _rationales,
    "Candidates": _candidates,
    "Progress": _progress,
    "Labelling": _labelling,
    "Plan": lambda: pipeline_html(make_plan(PlanOrder())),
    "Funnel": _funnel,
    "Histogram": lambda: histogram_html([n * n % 97 for n in range(200)], "student tokens", "Query length", "queries"),
    "Scatter": _scatter,
    "Projects": _projects,
    "Tour": lambda: tour_html(2, STOPS[1].page, "demo"),
}
