"""The part of Evaluate that lists where two systems differ, and shows one query in full."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.evaluation.comparisons import PAGE
from app.web.address import View, read_named, read_view
from app.web.downloads import Downloads
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.lists import offer_csv, write_list
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.messages import notice_html
from app.web.parts.tables import Raw
from app.web.parts.tiles import badge_html
from engine.errors import InputError, NotFound
from engine.plans.titles import title_of
from engine.values.report import WHOLE
from engine.wording import counted
from storage.differences import Asked
from storage.runs import Run

_TO = "(value) => { window.tacitView({NAME: value, page: '', open: ''}, true); }"
_EVERY = "All kinds"


def build(frame: Frame, run: Any) -> list[Any]:
    """Lay this part out and bind its handlers; the two who are compared, and the kind, as components."""
    do = _Handlers(frame.services)
    lay_html("<h2>Where two systems differ</h2>")
    with gr.Row():
        first = gr.Dropdown([], label="First", interactive=True, min_width=160)
        second = gr.Dropdown([], label="Second", interactive=True, min_width=160)
        kind = gr.Dropdown([_EVERY], value=_EVERY, label="Kind", interactive=True, min_width=120)
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=3, min_width=320):
            listed = lay_html(js_on_load=LISTING)
        with gr.Column(scale=2, min_width=280):
            one = lay_html()
    asked = [run, first, second]
    frame.fill_view([listed, one], asked, do.show_page)
    offer_csv(frame, listed, do.save_list, asked)
    for name, part in (("first", first), ("second", second), ("kind", kind)):
        part.input(None, part, None, js=_TO.replace("NAME", name))
    for part in (first, second):
        part.change(
            frame.guard(do.show_page),
            [frame.project, frame.address, *asked],
            [listed, one],
            show_progress="hidden",
            trigger_mode="always_last",
            **frame.quiet,
        )
    return [first, second, kind]


def kind_choices(services: Services, run: Run | None, chosen: str) -> Any:
    """The kinds of the queries that a run was scored on."""
    kinds = sorted({row.kind for row in services.reading.report(run)} - {WHOLE}) if run else []
    names = [(_EVERY, _EVERY), *((kind, kind) for kind in kinds)]
    return gr.Dropdown(names, value=chosen if chosen in kinds else _EVERY, visible=bool(kinds))


@dataclass(frozen=True)
class _Handlers:
    """What the events do."""

    services: Services
    downloads: Downloads = field(default_factory=Downloads)

    def show_page(
        self, project: str, address: str, run: str | None, first: str | None, second: str | None
    ) -> list[str]:
        """The queries that the address asks for, and the one that it opens, else the first."""
        if not run or not first or not second:
            return ["", ""]
        run_record, view, asked = self.services.reading.run_of(project, run), read_view(address), _read_asked(address)
        page = self.services.compare.differing(run_record, (first, second), asked)
        ids = [row["id"] for row in page.rows]
        opened = view.open or (ids[0] if ids else "")
        listing = Listing(
            rows=[_row(row) for row in page.rows],
            columns=_columns(page.rows),
            view=View(view.page, view.search, view.show, view.sort, opened),
            begin=page.begin,
            total=page.total,
            size=PAGE,
            noun="query they differ on" if page.total == 1 else "queries they differ on",
            filters=_filters(first, second),
            searched="Search the queries",
            empty="They differ on no such query. Clear the search, or choose another filter.",
            csv=True,
        )
        return [listing_html(listing), self._one_html(run_record, (first, second), opened)]

    def save_list(self, project: str, address: str, run: str | None, first: str | None, second: str | None) -> str:
        """The queries that the address asks for, with what both wrote, as a file."""
        if not run or not first or not second:
            raise InputError("Choose two systems first.")
        run_record = self.services.reading.run_of(project, run)
        sheet = self.services.compare.differing_sheet(run_record, (first, second), _read_asked(address))
        return write_list(self.downloads, sheet, project, "differences", run, first, second, address)

    def _one_html(self, run: Run, pair: tuple[str, str], query_id: str) -> str:
        if not query_id:
            return ""
        try:
            row = self.services.compare.difference(run, pair, query_id)
        except NotFound:
            return notice_html("These two did not both answer this query. Choose another one.")
        gold = f"<p class='quiet'>Gold label: <b>{escape(str(row['gold']))}</b></p>" if row["gold"] is not None else ""
        kind = badge_html(str(row["kind"])) if row["kind"] else ""
        sides = "".join(
            _side_html(title_of(name), row, side) for name, side in zip(pair, ("first", "second"), strict=True)
        )
        text = f"<p class='long-text' data-full='{escape(query_id)}'>{escape(str(row['query']))}</p>"
        return f"<div class='card spoken'>{kind}{text}{gold}{sides}</div>"


def _read_asked(address: str) -> Asked:
    view, kind = read_view(address), read_named(address, "kind")
    return Asked(view.show, "" if kind == _EVERY else kind, view.search, view.sort, view.page)


def _filters(first: str, second: str) -> dict[str, str]:
    return {
        "all": "All",
        "first": f"Only {title_of(first)} right",
        "second": f"Only {title_of(second)} right",
        "neither": "Neither right",
    }


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    kinds = [Column("kind", "Kind", "kind")] if any(row["kind"] for row in rows) else []
    return [Column("query", "Query", "query"), *kinds, Column("first", "First"), Column("second", "Second")]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    sides = {side: _answer(row[f"{side}_label"], row[f"{side}_correct"]) for side in ("first", "second")}
    return {"id": row["id"], "query": row["query"], "kind": row["kind"], **sides}


def _answer(label: Any, correct: bool | None) -> Raw:
    said = str(label) if label is not None else "none read"
    return Raw(f"{escape(said[:60])} {_verdict_badge(correct)}", said[:20])


def _verdict_badge(correct: bool | None) -> str:
    if correct is None:
        return badge_html("not scored")
    return badge_html("right", "good") if correct else badge_html("wrong", "bad")


def _side_html(name: str, row: dict[str, Any], side: str) -> str:
    text = row[f"{side}_text"] or ""
    label = row[f"{side}_label"]
    answer = (
        f"<span class='quiet'>{escape(str(label))}</span>"
        if label is not None
        else "<span class='quiet'>no answer read</span>"
    )
    size = counted(len(text), "character")
    return (
        f"<div class='who'>{escape(name)} {_verdict_badge(row[f'{side}_correct'])} {answer}</div>"
        f"<div class='answer' title='{size}'>{escape(text) or '(it wrote nothing)'}</div>"
    )
