"""Jobs and spend: what runs and ran, what it cost, over all projects; removing for good, backup."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.workspace.job_words import job_kind, say_status
from app.usecases.workspace.jobs import LISTED, WHICH
from app.web.address import read_view
from app.web.downloads import Downloads
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.lists import lay_sent, offer_csv, write_list
from app.web.parts.code import command_html, commands_html
from app.web.parts.labelling import say_cost
from app.web.parts.links import Link, button_html, way_html
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.messages import notice_html
from app.web.parts.numbers import say_money
from app.web.parts.picking import ACTED, PICKING, UNCHOOSE, act_html, read_ids, toast_html
from app.web.parts.tables import Raw, table_html
from app.web.parts.texts import log_html
from app.web.parts.tiles import Tile, badge_html, tiles_html
from app.web.plots_spend import spend_plot
from engine.errors import InputError, NotFound
from engine.values import JobStatus
from engine.wording import counted, say_span
from storage.projects import Project

_ALL, _HERE = "all", "here"
_SCOPES = [("All projects", _ALL), ("This project", _HERE)]
_PURPOSES = {
    "label": "Labelling",
    "evaluate": "Held-out queries",
    "compress": "Compression",
    "check": "Checking answers",
    "grade": "Grading",
    "probe": "Connection test",
    "play": "Playground",
}
"""What requests to teachers are for, in words."""
_ENDS = (
    "Their jobs were cut off before an answer came; the provider may have billed them. Labelling and grading ask them "
    "again under the same idempotency key, and a cap on money counts what they cost at most."
)


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame.services)
    scope = gr.Radio(_SCOPES, value=_ALL, label="Scope", show_label=False)
    tiles = lay_html()
    with gr.Column(visible=False) as unread:
        warned = lay_html()
        with gr.Row():
            aside = gr.Dropdown([], label="Job to retry", interactive=True, scale=0, min_width=260)
            retry = gr.Button("Retry")
    taken = lay_html()
    plot = gr.Plot(show_label=False, visible=False)
    lay_html("<h2>Jobs</h2>")
    with gr.Row(elem_classes="top"):
        with gr.Column(scale=2, min_width=320):
            listed = lay_html(js_on_load=LISTING + PICKING)
        with gr.Column(scale=1, min_width=280):
            one = lay_html()
            cancel = gr.Button("Cancel", variant="stop", visible=False)
            said = lay_html()
            command = lay_html()
    opened = gr.Textbox("", visible=False)  # the job that is shown: a newer one may have come before Cancel is pressed
    spend = lay_html()
    shown = [tiles, listed, one, cancel, opened, command]
    frame.fill([unread, warned, aside], do.quarantined)
    frame.fill_view(shown, [scope], do.show)
    frame.fill_live([spend], [scope], do.spend)
    frame.fill_once([plot], lambda project: do.draw("", _ALL))
    scope.input(frame.guard(do.show), [frame.project, frame.address, scope], shown, **frame.quiet)
    scope.input(frame.guard(do.spend), [frame.project, scope], spend, **frame.quiet)
    scope.input(frame.guard(do.draw), [frame.project, scope], plot, **frame.quiet)
    cancelled = cancel.click(
        frame.guard(do.cancel), [frame.project, opened], [said, frame.timer, cancel], **frame.quiet
    )
    frame.follow(cancelled)
    offer_csv(frame, listed, do.save_list, [scope])
    several = listed.apply(
        frame.guard(do.cancel_chosen), [frame.project, *lay_sent()], [said, frame.timer], js=ACTED, **frame.quiet
    )
    several.success(None, None, None, js=UNCHOOSE, **frame.quiet)
    frame.follow(several)
    frame.follow(retry.click(frame.guard(do.retry), [frame.project, aside], taken, **frame.quiet))
    _lay_upkeep(frame, do)


def _lay_upkeep(frame: Frame, do: _Handlers) -> None:
    """Backup, and below it, apart, removing a project for good."""
    with gr.Accordion("Back up the workspace", open=False):
        gr.Markdown(
            "One file with everything but keys. `tacit restore FILE --workspace NEW_FOLDER` unpacks it; the folder "
            "that is open here can't be replaced while it is."
        )
        lay_html(command_html(["tacit", "backup", "tacit.backup.zip"]))
        back_up = gr.Button("Make a backup")
        kept = lay_html()
        file = gr.File(label="The backup", visible=False, interactive=False)
    with gr.Accordion("Delete a project for good", open=False):
        gr.Markdown(
            "Deletes its queries, samples, ledger, runs and adapters; nothing brings them back. Archiving a project, "
            "on the page Home, keeps everything."
        )
        with gr.Row():
            project = gr.Dropdown([], label="Project", interactive=True)
            typed = gr.Textbox(label="Type its name to confirm", max_length=100)
            purge = gr.Button("Delete for good", variant="stop", interactive=False)
        gone, command = lay_html(), lay_html()
    frame.fill_once([project], do.open)
    for part in (project, typed):
        sure = [purge, command]
        part.change(_sure, [project, typed], sure, show_progress="hidden", trigger_mode="always_last", **frame.quiet)
    purged = purge.click(frame.guard(do.purge), [frame.project, project, typed], [gone, project], **frame.quiet)
    frame.follow(purged)
    back_up.click(frame.guard(do.back_up), frame.project, [kept, file], **frame.quiet)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project of the address first."""

    services: Services
    made: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    """Backups that were made for a download, for as long as the server runs."""
    downloads: Downloads = field(default_factory=Downloads)

    def open(self, project: Project | None) -> Any:
        return gr.Dropdown(self.services.projects.names(), value=None)

    def quarantined(self, project: Project | None) -> list[Any]:
        rows = self.services.keep.quarantined()
        names = [(f"{row['project'] or '(removed)'}: {job_kind(row['kind']).title}", row["id"]) for row in rows]
        chosen = gr.Dropdown(names, value=names[0][1] if names else None)
        one = len(rows) == 1
        warning = (
            f"The {'journal' if one else 'journals'} of {counted(len(rows), 'job')} could not be read. What "
            f"{'it holds' if one else 'they hold'} is kept on disk; repair the file that the job's message names, then "
            "retry."
        )
        return [gr.Column(visible=bool(rows)), notice_html(warning, tone="warn") if rows else "", chosen]

    def retry(self, project: str, job: str | None) -> Any:
        if not job:
            raise InputError("Choose a job first.")
        taken = self.services.keep.retry(job)
        status = say_status(taken.status)[0].lower()
        return notice_html(f"The journal was read. {job_kind(taken.kind).title}: {status}. {taken.message}")

    def _only(self, project: str, scope: str) -> str | None:
        return self.services.jobs.project_id(project) if scope == _HERE else None

    def show(self, project: str, address: str, scope: str) -> list[Any]:
        """The headline, the jobs that the address asks for, and the one that it opens."""
        only, view = self._only(project, scope), read_view(address)
        page = self.services.jobs.page(view.show, only, view.sort, view.page)
        if not view.open and page.rows:
            view = replace(view, open=str(page.rows[0]["id"]))
        listing = Listing(
            rows=[_line(row) for row in page.rows],
            columns=[
                Column("job", "Job", "kind"),
                Column("project", "Project"),
                Column("status", "Status", "status"),
                Column("started", "Started (UTC)", "started"),
                Column("took", "Took", right=True),
                Column("cost", "Cost", right=True),
                Column("acts", ""),
            ],
            view=view,
            begin=page.begin,
            total=page.total,
            size=LISTED,
            noun="job" if page.total == 1 else "jobs",
            filters=WHICH,
            empty="No job here yet.",
            picks=[("cancel", "Cancel jobs")],
            scope=scope,
            csv=True,
        )
        one, cancel, commands = self._one(view.open)
        commands = [["tacit", "jobs"], *([["tacit", "spend", project]] if only else []), *commands]
        return [self._headline_html(only), listing_html(listing), one, cancel, view.open, commands_html(commands)]

    def _headline_html(self, only: str | None) -> str:
        spent, counts = self.services.keep.spend(only), self.services.jobs.counts(only)
        total = sum((row["cost"] for row in spent), Decimal(0))
        unknown, failed = sum(row["unknown"] for row in spent), sum(row["failed"] for row in spent)
        missing = f"and {counted(unknown, 'request')} of unknown cost" if unknown else ""
        more = "; ".join(part for part in (missing, self.services.keep.unknown_ends(only).brief) if part)
        return tiles_html(
            [
                Tile(say_money(total), "Total spend", more, "warn" if more else ""),
                Tile(f"{sum(row['requests'] for row in spent):,}", "Requests", f"{failed:,} failed" if failed else ""),
                Tile(f"{counts.running:,}", "Jobs running", f"{counts.queued:,} queued" if counts.queued else ""),
                Tile(f"{counts.failed:,}", "Failed in the last day", "", "bad" if counts.failed else ""),
            ]
        )

    def _one(self, job: str) -> list[Any]:
        """The record of a job, the button that cancels it, and the commands that change it."""
        if not job:
            return ["", gr.Button(visible=False), []]
        try:
            row = self.services.jobs.one(job)
        except NotFound:
            return [notice_html("There is no such job any more."), gr.Button(visible=False), []]
        status = JobStatus(row["status"])
        stops = [["tacit", "runs", "cancel", row["run_id"][:8]]] if row["run_id"] and not status.over else []
        retries = [["tacit", "jobs", "retry", row["id"][:8]]] if status is JobStatus.QUARANTINED else []
        return [_record_html(row), gr.Button(visible=not status.over, interactive=True), [*stops, *retries]]

    def draw(self, project: str, scope: str) -> Any:
        """Spend by day as a chart, by project, or by teacher where it is all of one project."""
        rows = self.services.keep.spend_by_day(self._only(project, scope))
        names = {row["project"] for row in rows if row["cost"]}
        teachers = [
            spec.name for name in names for spec in self.services.projects.teachers(self.services.projects.get(name))
        ]
        chart = spend_plot(rows, "teacher", teachers) if len(names) == 1 else spend_plot(rows, "project")
        return gr.Plot(chart, visible=chart is not None)

    def spend(self, project: str, scope: str) -> str:
        """Spend by teacher and purpose."""
        rows = [_spent(row) for row in self.services.keep.spend(self._only(project, scope))]
        charged = any(row["Cost"] != "$0.00" for row in rows)
        table = table_html(
            rows,
            "" if charged else "Nothing was charged so far.",
            empty="No teacher was asked yet.",
            right=("Tokens in", "Tokens out", "Cost"),
        )
        ends = str(self.services.keep.unknown_ends(self._only(project, scope)))
        left_out = notice_html(f"Not in the table: {ends}. {_ENDS}", tone="warn") if ends else ""
        return f"<h2 class='of-table'>Spend by teacher and purpose</h2>{table}{left_out}"

    def cancel(self, project: str, job: str) -> list[Any]:
        """Ask the job that is shown to stop."""
        if not job or JobStatus(self.services.jobs.one(job)["status"]).over:
            raise InputError("This job is over already.")
        self.services.keep.cancel(job)
        message = "Asked to stop. What it has written so far is kept."
        return [notice_html(message), gr.Timer(active=True), gr.Button(interactive=False)]

    def cancel_chosen(self, project: str, action: str, ids: str) -> list[Any]:
        """Ask the chosen jobs to stop; those that are over stay as they are."""
        running = [id_ for id_ in read_ids(ids) if not JobStatus(self.services.jobs.one(id_)["status"]).over]
        if not running:
            raise InputError("None of these jobs is running or queued any more. Nothing was cancelled.")
        for id_ in running:
            self.services.keep.cancel(id_)
        said = f"{counted(len(running), 'job')} asked to stop. What {'it has' if len(running) == 1 else 'they have'} "
        return [toast_html(f"{said}written so far is kept."), gr.Timer(active=True)]

    def save_list(self, project: str, address: str, scope: str) -> str:
        """The jobs that the address asks for, as a file."""
        view = read_view(address)
        sheet = self.services.jobs.sheet(view.show, self._only(project, scope), view.sort)
        return write_list(self.downloads, sheet, "tacit", "jobs", address, scope)

    def purge(self, project: str, name: str | None, typed: str) -> list[Any]:
        if not name:
            raise InputError("Choose a project first.")
        self.services.keep.purge(name, typed)
        return [notice_html(f"{name} was deleted for good."), gr.Dropdown(self.services.projects.names(), value=None)]

    def back_up(self, project: str) -> list[Any]:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M")
        folder = Path(tempfile.mkdtemp(dir=self.made.name))
        path = self.services.keep.back_up(folder / f"tacit-{stamp}.backup.zip")
        return [notice_html(f"{path.stat().st_size / 1e6:,.1f} MB."), gr.File(str(path), visible=True)]


def _sure(project: str | None, typed: str) -> list[Any]:
    """The button that removes for good, for which the name must be typed once more; and the command."""
    is_sure = bool(project) and typed.strip() == project
    words = ["tacit", "projects", "purge", str(project), "--confirm", str(project)]
    return [gr.Button(interactive=is_sure), command_html(words) if is_sure else ""]


def _line(row: dict[str, Any]) -> dict[str, Any]:
    status, tone = say_status(row["status"])
    over = JobStatus(row["status"]).over
    return {
        "id": row["id"],
        "pick": None if over else row["id"],
        "job": job_kind(row["kind"]).title,
        "project": row["project"] or "(removed)",
        "status": Raw(badge_html(status, tone), status),
        "started": f"{row['started']:%d %b, %H:%M}",
        "took": "-" if row["seconds"] is None or not over else say_span(row["seconds"]),
        "cost": say_cost(row["cost"]),
        "acts": Raw(_acts_html(row, over)),
    }


def _acts_html(row: dict[str, Any], over: bool) -> str:
    """What can be done with a job in its row: open its page, or cancel it; its log opens with the row."""
    kind = job_kind(row["kind"])
    name = f"{kind.title}, {row['project'] or 'removed'}"
    acts = [] if over else [act_html("cancel", "Cancel", row["id"], name)]
    if kind.path and row["project"]:
        acts.append(way_html(Link(f"Open {kind.page}", kind.path, row["project"])))
    return f"<div class='row-acts'>{''.join(acts)}</div>"


def _record_html(row: dict[str, Any]) -> str:
    """A job in full: what it was, how it ended, its log, and the page it belongs to."""
    kind, (status, tone) = job_kind(row["kind"]), say_status(row["status"])
    facts = [
        ("Project", row["project"] or "(removed)"),
        ("Started", f"{row['started']:%Y-%m-%d %H:%M} UTC"),
        ("Took" if JobStatus(row["status"]).over else "Running for", _say_took(row["seconds"])),
        ("Cost", say_cost(row["cost"])),
        ("Job id", row["id"][:8]),
        ("Run id", (row["run_id"] or "")[:8]),
    ]
    lines = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(said)}</dd></div>" for name, said in facts if said)
    message = notice_html(
        row["message"][:1].upper() + row["message"][1:], tone=tone if tone == "bad" or tone == "warn" else ""
    )
    unfolded = " open" if tone == "bad" else ""
    log = f"<details class='more'{unfolded}><summary>Log</summary>{log_html(row['log'])}</details>"
    way = ""
    if kind.path and row["project"]:
        way = f"<div class='buttons'>{button_html(Link(f'Open {kind.page}', kind.path, row['project']))}</div>"
    return (
        f"<div class='card record'><div class='title'>{escape(kind.title)} {badge_html(status, tone)}</div>"
        f"<dl class='facts-list'>{lines}</dl>{message}{log if row['log'] else ''}{way}</div>"
    )


def _say_took(seconds: float | None) -> str:
    return "" if seconds is None else say_span(seconds)


def _spent(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "Project": row["project"],
        "Teacher": row["teacher"],
        "For": _PURPOSES.get(row["purpose"], row["purpose"]),
        "Requests": row["requests"],
        "Failed": row["failed"],
        "Tokens in": row["tokens_in"],
        "Tokens out": row["tokens_out"],
        "Cost": say_cost(row["cost"], row["unknown"]),
    }
