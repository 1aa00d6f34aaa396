"""Compress: does the short one still teach?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.compression.reviews import FILTERS, PAGE, Summary
from app.web.choices import PICK, enable, opened_id, run_choices
from app.web.fields import lay_html
from app.web.frame import Frame
from app.web.parts.messages import notice_html
from app.web.parts.tables import Opener, table_html
from app.web.parts.texts import columns_html
from engine.errors import InputError
from engine.wording import counted, verb
from storage.projects import Project

_EMPTY = (
    "Nothing is compressed yet. A run with stage 2 does it after stage 1: start one on the page Train, with "
    "'wait for my review' to look before it goes on."
)
_CLOSED = "Open a rationale in the list to see it, change it or approve it."


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    do = _Handlers(frame.services)
    run = gr.Dropdown([], label="Run", interactive=True)
    summary = lay_html()
    with gr.Row():
        most = gr.Number(80, label="Student tokens", precision=0, minimum=1, min_width=110)
        by_rule = gr.Button("Approve all preserved under that", interactive=False)
        go_on = gr.Button("Go on with what is approved", variant="primary", visible=False)
        all_on = gr.Button("Approve the rest and go on", visible=False)
    said = lay_html()
    with gr.Row():
        which = gr.Dropdown(list(FILTERS), value="all", label="Show")
        first, forward = gr.Button("First page", interactive=False), gr.Button("Next page", interactive=False)
    rows, begin = lay_html(js_on_load=PICK), gr.State(0)
    opened, seen = gr.Textbox(visible=False), gr.Textbox("0", visible=False)
    three, text, versions, version, note, buttons = _lay_one()

    frame.fill_once([run], do.choices)
    listing = [summary, go_on, all_on, by_rule, first, forward, rows, begin]
    page = [frame.project, run, which]
    frame.fill_live([summary], [run], do.follow)
    run.change(frame.guard(do.first), page, listing, **frame.quiet)
    for event in (first.click, which.input):
        event(frame.guard(do.first), page, listing, **frame.quiet)
    forward.click(frame.guard(do.turn), [*page, begin], listing, **frame.quiet)
    picked = rows.click(opened_id, None, opened, show_progress="hidden", **frame.quiet)
    one = [three, text, versions, version, seen, *buttons.values()]
    chosen = [frame.project, run, opened]
    picked.success(frame.guard(do.look), chosen, one, trigger_mode="always_last", **frame.quiet)

    def bind(button: gr.Button, work: Any, inputs: list[Any]) -> None:
        done = button.click(frame.guard(work), inputs, said, **frame.quiet)
        shown = done.success(frame.guard(do.stay), [*page, begin], listing, show_progress="hidden", **frame.quiet)
        frame.follow(shown.success(frame.guard(do.look), chosen, one, show_progress="hidden", **frame.quiet))

    for button, work, more in (
        (buttons["save"], do.edit, [text, seen]),
        (buttons["approve"], do.approve, [seen]),
        (buttons["withdraw"], do.withdraw, []),
        (buttons["again"], do.ask_again, [note]),
        (buttons["restore"], do.restore, [version, seen]),
    ):
        bind(button, work, [*chosen, *more])
    bind(by_rule, do.by_rule, [frame.project, run, most])
    bind(go_on, do.go_on, [frame.project, run])
    bind(all_on, do.approve_rest, [frame.project, run])


def _lay_one() -> tuple[gr.HTML, gr.Textbox, gr.HTML, gr.Dropdown, gr.Textbox, dict[str, gr.Button]]:
    """One rationale in three columns, what changes it, and its history."""
    three = lay_html(notice_html(_CLOSED))
    off: dict[str, Any] = {"interactive": False}
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            text = gr.Textbox(label="Compressed", lines=4, max_lines=14, interactive=True)
            with gr.Row():
                approve, save = gr.Button("Approve", variant="primary", **off), gr.Button("Save the edit", **off)
                withdraw = gr.Button("Take the approval back", **off)
        with gr.Column(scale=2, min_width=320):
            note = gr.Textbox(label="Note to the teacher", lines=2, max_length=2000, placeholder="keep the dates")
            again = gr.Button("Ask again", **off)
            with gr.Row():
                version = gr.Dropdown([], label="Version", interactive=True, min_width=120)
                restore = gr.Button("Restore it", **off)
    versions = lay_html()
    buttons = {"approve": approve, "save": save, "withdraw": withdraw, "again": again, "restore": restore}
    return three, text, versions, version, note, buttons


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project and the run first."""

    services: Services

    def _run(self, project: str, run: str | None) -> str:
        return self.services.reading.run_of(project, run).id

    def choices(self, project: Project | None) -> Any:
        return run_choices(self.services.review.runs(project.id) if project else [])

    def follow(self, project: str, run: str | None) -> str:
        """The chosen run's summary, drawn anew while jobs run."""
        return summary_html(self.services.review.summary(self._run(project, run))) if run else notice_html(_EMPTY)

    def first(self, project: str, run: str | None, which: str) -> list[Any]:
        return self._page(project, run, which, 0)

    def turn(self, project: str, run: str | None, which: str, begin: int) -> list[Any]:
        return self._page(project, run, which, begin + PAGE)

    def stay(self, project: str, run: str | None, which: str, begin: int) -> list[Any]:
        return self._page(project, run, which, begin)

    def _page(self, project: str, run: str | None, which: str, begin: int) -> list[Any]:
        if not run:
            return [notice_html(_EMPTY), *[gr.Button(visible=False)] * 2, *enable(*[False] * 3), "", 0]
        run_record = self._run(project, run)
        summary, rows = self.services.review.page(run_record, which, begin)
        lines = [_line(row, summary.reviewed) for row in rows]
        empty = "No rationale here. Choose another filter, or go to the first page."
        on = [gr.Button(visible=summary.waiting)] * 2
        can = enable(summary.rationales > 0, begin > 0, len(rows) == PAGE)
        return [summary_html(summary), *on, *can, table_html(lines, empty=empty), begin]

    def look(self, project: str, run: str | None, sample: str | None) -> list[Any]:
        if not sample or not run:
            return [notice_html(_CLOSED), "", "", gr.Dropdown([], value=None), "0", *enable(*[False] * 5)]
        row = self.services.review.one(self._run(project, run), sample)
        numbers = [version["version"] for version in row["versions"]]
        history = [
            {
                "version": version["version"],
                "from": version["origin"],
                "note": version.get("note") or "",
                "text": version["text"],
                "approved": version["approved"],
            }
            for version in reversed(row["versions"])
        ]
        shown = gr.Dropdown(numbers, value=max(0, row["version"] - 1))
        asks = self.services.compress.can_ask(self._run(project, run), row["teacher"])
        can = enable(not row["approved"], True, bool(row["approved"]), asks, len(numbers) > 1)
        table = table_html(history, "history")
        return [three_html(row), row["compressed"], table, shown, str(row["version"]), *can]

    def edit(self, project: str, run: str, sample: str, text: str, seen: str) -> str:
        edited = self.services.review.edit(self._run(project, run), _named(sample), text, int(seen))
        if edited.flaw is None:
            return notice_html("Saved and approved; earlier versions stay.")
        return notice_html(f"Saved, but not approved: {edited.flaw}. Approve it all the same if you mean it so.")

    def approve(self, project: str, run: str, sample: str, seen: str) -> str:
        self.services.review.approve(self._run(project, run), _named(sample), int(seen))
        return notice_html("Approved.")

    def withdraw(self, project: str, run: str, sample: str) -> str:
        self.services.review.withdraw(self._run(project, run), _named(sample))
        return notice_html("Not approved any more: stage 2 leaves it out.")

    def ask_again(self, project: str, run: str, sample: str, note: str) -> str:
        self.services.compress.ask_again(self._run(project, run), _named(sample), note)
        return notice_html("Asked. The answer comes in as a new version; open the rationale again to see it.")

    def restore(self, project: str, run: str, sample: str, version: int | None, seen: str) -> str:
        if version is None:
            raise InputError("Choose a version first.")
        self.services.review.restore(self._run(project, run), _named(sample), int(version), int(seen))
        return notice_html(f"Version {version} is the newest again, and approved.")

    def by_rule(self, project: str, run: str | None, most: float) -> str:
        count = self.services.review.approve_by_rule(self._run(project, run), int(most))
        more = f"{count:,} more {verb(count, 'is')} approved"
        return notice_html(f"{more}: the answer was preserved, in fewer than {counted(int(most), 'token')}.")

    def go_on(self, project: str, run: str | None) -> str:
        return self._go(self._run(project, run), rest=False)

    def approve_rest(self, project: str, run: str | None) -> str:
        return self._go(self._run(project, run), rest=True)

    def _go(self, run: str, rest: bool) -> str:
        self.services.run.approve(run, rest)
        taught = self.services.review.count_approved(run)
        return notice_html(f"The run goes on: stage 2 learns from {counted(taught, 'approved rationale')}.")


def _named(sample: str | None) -> str:
    if not sample:
        raise InputError("Open a rationale in the list first.")
    return sample


def _line(row: dict[str, Any], reviewed: bool) -> dict[str, Any]:
    original, student, compressed = row["tokens"]
    return {
        "query": Opener(row["query"][:120], row["sample"]),
        "teacher": row["teacher"],
        "tokens": original,
        "student's": student,
        "compressed": compressed,
        "check": row["check"],
        "approved": "-" if not reviewed and not row["approved"] else row["approved"],
    }


def three_html(row: dict[str, Any]) -> str:
    """The query, and below it teacher, student and short form side by side with their lengths."""
    names = (row["teacher"], "the student, on its own", "compressed")
    texts = (row["original"], row["student"] or "It wrote nothing.", row["compressed"])
    heads = [
        name if count is None else f"{name} · {counted(count, 'token')}"
        for name, count in zip(names, row["tokens"], strict=True)
    ]
    flags = ", ".join(row["flags"])
    text = f"{row['query']}\nAnswer: {row['label']}" + (f" · {flags}" if flags else "")
    return notice_html(text) + columns_html(list(zip(heads, texts, strict=True)))


def summary_html(summary: Summary) -> str:
    """The one line that says how it went."""
    if not summary.rationales:
        return notice_html("This run has compressed nothing yet.")
    lengths = ""
    if summary.original_tokens is not None and summary.compressed_tokens is not None:
        lengths = f" · {summary.original_tokens:,.0f} -> {summary.compressed_tokens:,.0f} student tokens (median)"
    share = f" · answer preserved in {summary.preserved:,} of {summary.checked:,} (level {summary.level})"
    if summary.level > 1:
        share += (
            f", another teacher answers the same with {summary.led:,} of them, and without it for {summary.unaided:,}"
        )
    unchecked = summary.rationales - summary.checked
    share += f", {unchecked:,} not checked" if unchecked else ""
    kept = f" · {summary.kept_original:,} kept as they were" if summary.kept_original else ""
    waits = " · the run waits for you" if summary.waiting else ""
    asking = f" · {summary.asking} being asked again" if summary.asking else ""
    approved = (
        f" · {summary.approved:,} approved" if summary.reviewed else " · the run asked for no review: all were taught"
    )
    text = f"{counted(summary.rationales, 'rationale')}{lengths}{share}{kept}{approved}{asking}{waits}"
    return notice_html(text)
