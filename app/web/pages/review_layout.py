"""Where the parts of Compress stand: numbers, the banner of a run that waits, the list, and one rationale beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import gradio as gr

from app.web.fields import lay_html
from app.web.offers import OF_COPY
from app.web.parts.listing import LISTING
from app.web.parts.picking import PICKING

_FOCUS = "() => { document.querySelector('.editor textarea')?.focus(); }"
_STEP = """() => {
  const rows = [...document.querySelectorAll('.listing tbody tr[data-open]')];
  const next = rows[rows.findIndex((row) => row.classList.contains('current')) + 1];
  const turn = [...document.querySelectorAll('.listing .pager [data-page]')].pop();
  if (next) { next.scrollIntoView({block: 'nearest'}); next.click(); } else if (turn && !turn.disabled) turn.click();
}"""
"""The row behind the open one, on the next page if need be."""


class Shown(NamedTuple):
    """What every handler fills, in this order."""

    tiles: Any
    empty: Any
    banner: Any
    waits: Any
    go_on: Any
    body: Any
    listed: Any
    command: Any
    seen: Any
    card: Any
    text: Any
    versions: Any
    version: Any
    withdraw: Any
    again: Any
    restore: Any


class Pressed(NamedTuple):
    """Buttons that change something and are not filled, and the fields beside them."""

    by_rule: gr.Button
    most: gr.Number
    all_on: gr.Button
    approve: gr.Button
    save: gr.Button
    note: gr.Textbox


class ReviewParts(NamedTuple):
    """All of the page: the chosen run, what the last press did, what is filled, what is pressed."""

    run: gr.Dropdown
    said: gr.HTML
    shown: Shown
    press: Pressed


def lay_review() -> ReviewParts:
    """Lay it out; nothing is bound yet but what the browser does alone."""
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=5, min_width=320):
            tiles = lay_html()
        with gr.Column(scale=1, min_width=200):
            run = gr.Dropdown([], label="Run", interactive=True)
    empty = lay_html()
    banner, waits, go_on, all_on = _lay_banner()
    with gr.Column(visible=False) as body:
        with gr.Row(elem_classes="inline"):
            most, by_rule = _lay_rule()
            said = lay_html(elem_classes="said")
        with gr.Row(elem_classes="top"):
            with gr.Column(scale=9, min_width=320):
                listed, command = lay_html(js_on_load=LISTING + PICKING), lay_html()
            with gr.Column(scale=11, min_width=320, elem_classes="beside-list"):
                one, approve, save, note = _lay_one()
    seen = gr.Textbox(visible=False)
    shown = Shown(tiles, empty, banner, waits, go_on, body, listed, command, seen, *one)
    press = Pressed(by_rule, most, all_on, approve, save, note)
    return ReviewParts(run, said, shown, press)


def _lay_banner() -> tuple[Any, ...]:
    """What a run that waits for the review says, with the two ways on."""
    with gr.Column(visible=False, elem_classes="banner") as banner, gr.Row(elem_classes="inline"):
        waits = lay_html(elem_classes="wide")
        go_on = gr.Button("Continue with what is approved", variant="primary", interactive=False)
        all_on = gr.Button("Approve the rest and continue")
    return banner, waits, go_on, all_on


def _lay_rule() -> tuple[gr.Number, gr.Button]:
    """What approves many at once."""
    lay_html("Approve all preserved under", elem_classes=OF_COPY)
    most = gr.Number(80, label="Student tokens", show_label=False, precision=0, minimum=1, min_width=72)
    lay_html("student tokens", elem_classes=OF_COPY)
    return most, gr.Button("Approve all", size="sm")


def _lay_one() -> tuple[tuple[Any, ...], gr.Button, gr.Button, gr.Textbox]:
    """One rationale, what changes it, and its history."""
    with gr.Row(elem_classes="toolbar"):
        approve = gr.Button("Approve and next", variant="primary", elem_classes="key-a")
        focus = gr.Button("Edit", elem_classes=["key-e", OF_COPY])
        skip = gr.Button("Skip", elem_classes="key-j")
        withdraw = gr.Button("Take approval back", interactive=False, elem_classes="key-u")
    card = lay_html()
    text = gr.Textbox(
        label="Compressed rationale", lines=2, max_lines=14, interactive=True, elem_classes=["editor", OF_COPY]
    )
    save = gr.Button("Save edit")
    with gr.Row():
        note = gr.Textbox(label="Note to the teacher", lines=1, max_length=2000, placeholder="keep the dates")
        again = gr.Button("Ask again", interactive=False)
    with gr.Accordion("History", open=False):
        versions = lay_html()
        with gr.Row():
            version = gr.Dropdown([], label="Version", interactive=True, min_width=160, scale=0)
            restore = gr.Button("Restore", interactive=False)
    focus.click(None, None, None, js=_FOCUS)
    skip.click(None, None, None, js=_STEP)
    return (card, text, versions, version, withdraw, again, restore), approve, save, note
