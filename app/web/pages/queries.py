"""The part of Data that shows the queries a project has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from app.services import Services
from app.usecases.data.stored_queries import LISTED, SPLIT_TITLES, WHICH
from app.usecases.workspace.paging import Rows
from app.web.address import View, read_view
from app.web.downloads import Downloads
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.lists import offer_csv, write_list
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.messages import notice_html
from app.web.parts.tiles import badge_html
from engine.errors import NotFound
from engine.wording import counted


class Listed(NamedTuple):
    """The list and what draws it from the project and the address, for whoever changes what there is."""

    components: list[Any]
    show: Callable[[str, str], list[str]]


def build(frame: Frame) -> Listed:
    """Lay this part out and bind its handlers."""
    do = _Handlers(frame.services)
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=2, min_width=320):
            listed = lay_html(js_on_load=LISTING)
        with gr.Column(scale=1, min_width=280, elem_classes="beside-list"):
            one = lay_html()
    frame.fill_view([listed, one], [], do.show_page)
    offer_csv(frame, listed, do.save_list)
    return Listed([listed, one], do.show_page)


@dataclass(frozen=True)
class _Handlers:
    """What the events do."""

    services: Services
    downloads: Downloads = field(default_factory=Downloads)

    def save_list(self, project: str, address: str) -> str:
        """The queries that the address asks for, as a file."""
        view = read_view(address)
        sheet = self.services.queries.sheet(project, view.search, view.show, view.sort)
        return write_list(self.downloads, sheet, project, "queries", address)

    def show_page(self, project: str, address: str) -> list[str]:
        """The queries that the address asks for, and the one that it opens, else the first."""
        view = read_view(address)
        page = self.services.queries.page(project, view.search, view.show, view.sort, view.page)
        if not view.open and page.rows:
            view = replace(view, open=page.rows[0]["id"])
        return [listing_html(_list(page, view)), self._one_html(project, view.open)]

    def _one_html(self, project: str, query_id: str) -> str:
        if not query_id:
            return ""
        try:
            query, gold = self.services.queries.one(project, query_id)
        except NotFound:
            return notice_html("This query is not there any more.")
        choices = "".join(
            f"<li><b>{escape(choice.letter)}</b><span>{escape(choice.text)}</span></li>" for choice in query.choices
        )
        listed = f"<ul class='choices'>{choices}</ul>" if choices else ""
        badges = badge_html(SPLIT_TITLES[query.split.value], "accent" if query.split.value == "heldout" else "")
        badges += badge_html(query.kind) if query.kind else ""
        facts = {
            "Gold label": "none" if gold is None else gold,
            "Your ID": query.key,
            "Length": counted(len(query.text), "character"),
            "Paraphrase of": query.origin and "an original question",
        }
        lines = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items() if v)
        note = "<p class='quiet'>Teachers never see the gold label.</p>" if gold is not None else ""
        keys = "<p class='keys'><kbd>j</kbd> <kbd>k</kbd> next, previous · <kbd>c</kbd> copy · <kbd>/</kbd> search</p>"
        return (
            f"<div class='card query'><div class='badges'>{badges}</div>"
            f"<p class='said' data-full='{escape(query.id)}'>{escape(query.text)}</p>"
            f"{listed}<dl class='pairs'>{lines}</dl>{note}</div>{keys}"
        )


def _list(page: Rows, view: View) -> Listing:
    rows = [{**row, "split": SPLIT_TITLES[row["split"]], "gold": row["gold"] or "-"} for row in page.rows]
    kinds = [Column("kind", "Kind", "kind")] if any(row["kind"] for row in rows) else []
    columns = [Column("text", "Query", "text"), *kinds, Column("split", "Split", "split")]
    return Listing(
        rows=rows,
        columns=[*columns, Column("gold", "Gold label", "gold")],
        view=view,
        begin=page.begin,
        total=page.total,
        size=LISTED,
        noun="query" if page.total == 1 else "queries",
        filters=WHICH,
        searched="Search the queries",
        empty="No query matches. Clear the search, or choose another filter.",
        csv=True,
    )
