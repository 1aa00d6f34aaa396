"""The part of Label that shows what failed: by kind, the replies behind a number, and one in full."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.labelling.answers import LISTED, say_failure
from app.web.address import View, read_view
from app.web.downloads import Downloads
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.lists import offer_csv, write_list
from app.web.parts.labelling import failure_key, failures_html
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.messages import notice_html
from app.web.parts.tiles import badge_html
from engine.errors import NotFound
from engine.wording import counted
from storage.failures import FailureQuery


def lay_kinds() -> gr.HTML:
    """Lay the table of kinds out; its numbers open the replies behind them."""
    lay_html("<h2>Failures</h2>")
    return lay_html(js_on_load=LISTING)


def build(frame: Frame, kinds: gr.HTML, parsed: Any) -> None:
    """Lay the replies out, and bind what fills them and the table of `lay_kinds`, anew after the event `parsed`."""
    do = _Handlers(frame.services)
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=1, min_width=320):
            listed = lay_html(js_on_load=LISTING)
        with gr.Column(scale=1, min_width=280):
            one = lay_html()
    frame.fill_view([kinds, listed, one], [], do.show_failures)
    offer_csv(frame, listed, do.save_failures)
    asked = [frame.project, frame.address]
    parsed.success(frame.guard(do.show_failures), asked, [kinds, listed, one], show_progress="hidden", **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the events do."""

    services: Services
    downloads: Downloads = field(default_factory=Downloads)

    def save_failures(self, project: str, address: str) -> str:
        """The failures that the address asks for, as a file."""
        view = read_view(address)
        error, teacher = _read_key(view, self.services.answers.missing(self.services.projects.get(project)))
        sheet = self.services.answers.failed_sheet(project, FailureQuery(error, teacher, view.search, view.sort))
        return write_list(self.downloads, sheet, project, "failures", address)

    def show_failures(self, project: str, address: str) -> list[str]:
        """The kinds of failures, the replies of the kind that the address asks for, and the one that it opens."""
        rows = self.services.answers.missing(self.services.projects.get(project))
        if not rows:
            return ["", "", ""]
        view = read_view(address)
        error, teacher = _read_key(view, rows)
        page = self.services.answers.failed_page(
            project, FailureQuery(error, teacher, view.search, view.sort), view.page
        )
        if not view.open and page.rows:
            view = replace(view, open=str(page.rows[0]["id"]))
        key = failure_key(error, teacher)
        total = sum(row["n"] for row in rows)
        titles = {"all": f"All ({total:,})"}
        if key:
            titles[key] = f"{say_failure(error)}{f': {teacher}' if teacher else ''} ({page.total:,})"
        listing = Listing(
            rows=[
                {**row, "error": say_failure(row["error"]), "query": row["query"] or "(removed)"} for row in page.rows
            ],
            columns=[
                Column("query", "Query", "query"),
                Column("teacher", "Teacher", "teacher"),
                Column("error", "Kind", "error"),
            ],
            view=replace(view, show=key),
            begin=page.begin,
            total=page.total,
            size=LISTED,
            noun="failure" if page.total == 1 else "failures",
            filters=titles,
            searched="Search queries and replies",
            empty="No failure matches. Clear the search, or choose another kind.",
            csv=True,
        )
        return [failures_html(rows, key), listing_html(listing), self._one_html(project, view.open)]

    def _one_html(self, project: str, attempt: str) -> str:
        if not attempt:
            return ""
        try:
            row = self.services.answers.failed_one(project, attempt)
        except NotFound:
            return notice_html("This reply is not among the failures any more.")
        badges = badge_html(row["teacher"]) + " " + badge_html(say_failure(row["error"]), "warn")
        badges += " " + badge_html("held out") if row["split"] == "heldout" else ""
        facts = [
            f"{datetime.fromtimestamp(row['at'], UTC):%Y-%m-%d %H:%M} UTC" if row["at"] else None,
            None if row["output_tokens"] is None else counted(row["output_tokens"], "token"),
            f"ended by: {row['finish_reason']}" if row["finish_reason"] else None,
        ]
        raw = f"<pre class='log' tabindex='0'>{escape(row['raw'])}</pre>" if row["raw"] else ""
        nothing = "<p class='quiet'>There is no reply to show: the request itself failed.</p>"
        return (
            f"<div class='card'>{badges}<p class='said' data-full='{escape(attempt)}'>{escape(row['query'] or '')}</p>"
            f"<p class='said'><b>{escape(_sentence(row['message'] or ''))}</b></p>{raw or nothing}"
            f"<p class='quiet'>{escape(' · '.join(filter(None, facts)))}</p></div>"
        )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _read_key(view: View, rows: list[dict[str, Any]]) -> tuple[str, str]:
    """The kind and the teacher that the address narrows the list to; "" for any."""
    error, _, teacher = view.show.partition("/")
    known = {failure_key(row["error"], row["teacher"]) for row in rows} | {row["error"] for row in rows}
    return (error, teacher) if view.show in known else ("", "")
