"""The part of Data that shows the queries a project has."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr

from app.services import Services
from app.usecases.data.stored_queries import LISTED, WHICH
from app.web.address import read_view
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.messages import notice_html
from app.web.parts.tiles import badge_html
from engine.errors import NotFound
from engine.wording import counted

_SPLITS = {"distill": "to distill from", "heldout": "held out"}


def build(frame: Frame) -> None:
    """Lay this part out and bind its handlers."""
    do = _Handlers(frame.services)
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=2, min_width=320):
            listed = lay_html(js_on_load=LISTING)
        with gr.Column(scale=1, min_width=280):
            one = lay_html()
    frame.fill_view([listed, one], [], do.show_page)


@dataclass(frozen=True)
class _Handlers:
    """What the events do."""

    services: Services

    def show_page(self, project: str, address: str) -> list[str]:
        """The queries that the address asks for, and the one that it opens."""
        view = read_view(address)
        page = self.services.queries.page(project, view.search, view.show, view.sort, view.page)
        rows = [{**row, "split": _SPLITS[row["split"]], "gold": row["gold"] or "-"} for row in page.rows]
        kinds = [Column("kind", "Kind", "kind")] if any(row["kind"] for row in rows) else []
        listing = Listing(
            rows=rows,
            columns=[Column("text", "Query", "text"), *kinds, Column("split", "Split"), Column("gold", "Gold label")],
            view=view,
            begin=page.begin,
            total=page.total,
            size=LISTED,
            noun="query" if page.total == 1 else "queries",
            filters=WHICH,
            searched="Search the queries",
            empty="No query matches. Clear the search, or choose another filter.",
        )
        return [listing_html(listing), self._one_html(project, view.open)]

    def _one_html(self, project: str, query_id: str) -> str:
        if not query_id:
            return notice_html("Choose a query to read all of it. Keys: j and k move, / searches.")
        try:
            query, gold = self.services.queries.one(project, query_id)
        except NotFound:
            return notice_html("This query is not there any more.")
        choices = "".join(f"<li>{escape(f'{c.letter}. {c.text}')}</li>" for c in query.choices)
        listed = f"<ul>{choices}</ul>" if choices else ""
        label = f"<p class='quiet'>Gold label: {escape(gold)}. Teachers never see it.</p>" if gold is not None else ""
        badges = badge_html(_SPLITS[query.split.value]) + (badge_html(query.kind) if query.kind else "")
        size = counted(len(query.text), "character")
        return (
            f"<div class='card'>{badges}<p style='white-space:pre-wrap;overflow-wrap:anywhere'>{escape(query.text)}</p>"
            f"{listed}{label}<p class='quiet'>{size}</p></div>"
        )
