"""Compress: does the short one still teach?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.compression.reviews import FILTERS, PAGE, ReviewSummary
from app.usecases.workspace.paging import Rows
from app.web.address import View, read_view
from app.web.choices import enable, run_choices
from app.web.downloads import Downloads
from app.web.frame import Frame
from app.web.lists import lay_sent, offer_csv, write_list
from app.web.pages.review_layout import ReviewParts, lay_review
from app.web.parts.code import command_html
from app.web.parts.links import Link
from app.web.parts.listing import Column, Listing, listing_html
from app.web.parts.messages import empty_html, notice_html
from app.web.parts.picking import ACTED, UNCHOOSE, read_ids, toast_html
from app.web.parts.rationales import compression_tiles, rationale_html, state_cell, tokens_cell, versions_html
from engine.errors import InputError, NotFound
from engine.wording import counted, verb
from storage.projects import Project
from storage.rationales import Sought

_UNSAVED = (
    "The text in the box is not saved. Press Save edit first; to drop it, open another rationale and come back. "
    "Nothing was approved."
)
_CHANGED = (
    "A newer version came in while you were writing: it is shown here. Your own text is still in the box; Save edit "
    "makes it the newest."
)
_MOVED = """(seen) => {
  const {sample, page} = JSON.parse(seen);
  window.tacitView({open: sample, page: page > 1 ? page : ''}, true);
}"""
"""Brings the address to what was opened meanwhile."""
_AFRESH = "() => { window.tacitView({page: '', open: ''}, false); }"


@dataclass(frozen=True)
class _Open:
    """The rationale that a page shows, as it was when it was shown; `last` is the sample that was approved last."""

    run: str = ""
    sample: str = ""
    version: int = 0
    approved: bool = False
    last: str = ""
    page: int = 1

    @classmethod
    def read(cls, seen: object) -> _Open:
        """What a page holds of it; nothing where that can't be read."""
        try:
            return cls(**json.loads(str(seen)))
        except (ValueError, TypeError):
            return cls()

    def write(self) -> str:
        """As a page holds it."""
        return json.dumps(asdict(self))


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    _bind(frame, _Handlers(frame.services), lay_review())


def _bind(frame: Frame, do: _Handlers, page: ReviewParts) -> None:
    run, said, shown, press = page
    given = [shown.seen, run, shown.text]
    frame.fill_once([run], do.choices)
    frame.fill_view([*shown], given, do.show_page)
    run.input(None, None, None, js=_AFRESH, **frame.quiet)

    def bind(button: gr.Button, work: Callable[..., Any], *more: Any, moves: bool = False) -> None:
        inputs, outputs = [frame.project, frame.address, *given, *more], [said, *shown]
        done = button.click(frame.guard(work), inputs, outputs, show_progress="hidden", **frame.quiet)
        if moves:
            done.success(None, shown.seen, None, js=_MOVED, **frame.quiet)
        frame.follow(done)

    bind(press.approve, do.approve, moves=True)
    bind(shown.withdraw, do.withdraw, moves=True)
    bind(press.save, do.edit)
    bind(shown.again, do.ask_again, press.note)
    bind(shown.restore, do.restore, shown.version)
    bind(press.by_rule, do.by_rule, press.most)
    bind(shown.go_on, do.go_on)
    bind(press.all_on, do.approve_rest)
    offer_csv(frame, shown.listed, do.save_list, [run])
    acted = shown.listed.apply(
        frame.guard(do.act_on_chosen),
        [frame.project, frame.address, *given, *lay_sent()],
        [said, *shown],
        js=ACTED,
        show_progress="hidden",
        **frame.quiet,
    )
    acted.success(None, None, None, js=UNCHOOSE, **frame.quiet)
    frame.follow(acted)


@dataclass(frozen=True)
class _Asked:
    """What a page asks for: a run, a part of its list, and what the text box holds."""

    run: str
    view: View
    text: str
    project: str

    @property
    def sought(self) -> Sought:
        """Which rationales are listed."""
        return Sought(self.view.search, self.view.show, self.view.sort)


@dataclass(frozen=True)
class _Handlers:
    """What the page's events do; each is given the project, the address, what is open, the run and the text box."""

    services: Services
    downloads: Downloads = field(default_factory=Downloads)

    def choices(self, project: Project | None) -> Any:
        return run_choices(self.services.review.runs(project.id) if project else [])

    def show_page(self, project: str, address: str, seen: str, run: str | None, text: str) -> list[Any]:
        """The rationales that the address asks for, and the one that it opens."""
        if not run:
            return _nothing("Nothing to compress yet", _NO_RUN, project)
        return self._fill(self._ask(project, address, run, text), _Open.read(seen))

    def approve(self, project: str, address: str, seen: str, run: str | None, text: str) -> list[Any]:
        """Approve what is open, and open the next that is not approved."""
        asked, was = self._ask(project, address, run, text), _named(_Open.read(seen))
        row = self.services.review.one(asked.run, was.sample)
        if _unsaved(row, was, text):
            raise InputError(_UNSAVED)
        self.services.review.approve(asked.run, was.sample, was.version)
        following = self.services.review.next_unapproved(asked.run, asked.sought, was.sample)
        summary = self.services.review.summary(asked.run)
        sample, page = following or (was.sample, asked.view.page)
        said = "Approved." if following else "Approved. No other rationale here is unapproved."
        said = said if summary.reviewed else f"{said} The run asked for no review, so all are taught."
        moved = replace(asked, view=replace(asked.view, open=sample, page=page))
        return [notice_html(said, tone="good"), *self._fill(moved, replace(was, last=was.sample, page=page), True)]

    def withdraw(self, project: str, address: str, seen: str, run: str | None, text: str) -> list[Any]:
        """Take back the approval of what is open, or else the one that was given last."""
        asked, was = self._ask(project, address, run, text), _named(_Open.read(seen))
        sample = was.sample if was.approved else was.last
        if not sample:
            raise InputError("This rationale is not approved. Nothing was changed.")
        self.services.review.withdraw(asked.run, sample)
        moved = replace(asked, view=replace(asked.view, open=sample))
        said = notice_html("Not approved any more. A run with a review leaves it out of stage 2.")
        return [said, *self._fill(moved, replace(was, last="", page=asked.view.page), True)]

    def edit(self, project: str, address: str, seen: str, run: str | None, text: str) -> list[Any]:
        asked, was = self._ask(project, address, run, text), _named(_Open.read(seen))
        edited = self.services.review.edit(asked.run, was.sample, text, was.version)
        if edited.flaw is None:
            said = notice_html("Saved and approved; earlier versions stay.", tone="good")
        else:
            said = notice_html(f"Saved, but not approved: {edited.flaw}. Approve it if it is right.", tone="warn")
        return [said, *self._fill(self._at(asked, was), was, True)]

    def ask_again(self, project: str, address: str, seen: str, run: str | None, text: str, note: str) -> list[Any]:
        asked, was = self._ask(project, address, run, text), _named(_Open.read(seen))
        self.services.compress.ask_again(asked.run, was.sample, note)
        said = notice_html("Asked. The answer appears here as a new version; the ones before it stay.")
        return [said, *self._fill(self._at(asked, was), was)]

    def restore(
        self, project: str, address: str, seen: str, run: str | None, text: str, version: int | None
    ) -> list[Any]:
        asked, was = self._ask(project, address, run, text), _named(_Open.read(seen))
        if version is None:
            raise InputError("Choose a version first.")
        self.services.review.restore(asked.run, was.sample, int(version), was.version)
        said = notice_html(f"Version {version} is the newest again, and approved.", tone="good")
        return [said, *self._fill(self._at(asked, was), was, True)]

    def by_rule(self, project: str, address: str, seen: str, run: str | None, text: str, most: float) -> list[Any]:
        asked = self._ask(project, address, run, text)
        count = self.services.review.approve_by_rule(asked.run, int(most))
        more = f"{count:,} more {verb(count, 'is')} approved"
        said = f"{more}: the answer was preserved, in fewer than {counted(int(most), 'token')}."
        was = _Open.read(seen)
        return [notice_html(said, tone="good"), *self._fill(self._at(asked, was), was)]

    def act_on_chosen(
        self, project: str, address: str, seen: str, run: str | None, text: str, action: str, ids: str
    ) -> list[Any]:
        """Approve the chosen rationales as they are listed, or take approvals back."""
        asked, was = self._ask(project, address, run, text), _Open.read(seen)
        chosen = read_ids(ids)
        if not chosen:
            raise InputError("Choose rationales by their boxes first. Nothing was approved.")
        if action == "withdraw":
            self.services.review.withdraw_all(asked.run, chosen)
            said = f"Approval of {counted(len(chosen), 'rationale')} taken back."
            return [notice_html(said), *self._fill(self._at(asked, was), was, True)]
        parts = [one.rpartition(" ") for one in chosen]
        versions = [(sample, int(version)) for sample, _, version in parts if version.isdecimal()]
        done = self.services.review.approve_listed(asked.run, versions)
        left = len(chosen) - len(done)
        said = f"Approved {counted(len(done), 'rationale')}." if done else "Nothing was left to approve."
        said += f" {left:,} of {len(chosen):,} had been approved already, or changed since." if left else ""
        return [toast_html(said, "withdraw" if done else "", done), *self._fill(self._at(asked, was), was, True)]

    def save_list(self, project: str, address: str, run: str | None) -> str:
        """The rationales that the address asks for, as a file."""
        asked = self._ask(project, address, run, "")
        sheet = self.services.review.sheet(asked.run, asked.sought)
        return write_list(self.downloads, sheet, project, "rationales", asked.run, address)

    def go_on(self, project: str, address: str, seen: str, run: str | None, text: str) -> list[Any]:
        return self._go(self._ask(project, address, run, text), _Open.read(seen), rest=False)

    def approve_rest(self, project: str, address: str, seen: str, run: str | None, text: str) -> list[Any]:
        return self._go(self._ask(project, address, run, text), _Open.read(seen), rest=True)

    def _go(self, asked: _Asked, was: _Open, rest: bool) -> list[Any]:
        self.services.run.approve(asked.run, rest)
        taught = self.services.review.count_approved(asked.run)
        said = f"The run continues: stage 2 learns from {counted(taught, 'approved rationale')}."
        return [notice_html(said, tone="good"), *self._fill(self._at(asked, was), was)]

    def _ask(self, project: str, address: str, run: str | None, text: str) -> _Asked:
        view = read_view(address if isinstance(address, str) else "")
        return _Asked(self.services.reading.run_of(project, run).id, view, str(text or ""), project)

    def _at(self, asked: _Asked, was: _Open) -> _Asked:
        """With what is open named, where the address leaves it to the list."""
        return replace(asked, view=replace(asked.view, open=was.sample)) if was.run == asked.run else asked

    def _fill(self, asked: _Asked, was: _Open, fresh: bool = False) -> list[Any]:
        """All that the page shows. What is open stays as it is where nothing of it has changed, unless `fresh`."""
        summary = self.services.review.summary(asked.run)
        if not summary.rationales:
            return _nothing("Nothing to review yet", _NOT_YET, asked.project)
        page = self.services.review.page(asked.run, asked.sought, asked.view.page)
        opened = asked.view.open or _first(page, summary)
        view = replace(asked.view, open=opened)
        return [
            compression_tiles(summary),
            "",
            gr.Column(visible=summary.waiting),
            _waits_html(summary),
            gr.Button(interactive=summary.approved > 0),
            gr.Column(visible=True),
            listing_html(_listing(page, view, summary, asked.run)),
            _command_html(summary, asked.run),
            *self._fill_one(replace(asked, view=view), was, fresh),
        ]

    def _fill_one(self, asked: _Asked, was: _Open, fresh: bool) -> list[Any]:
        sample, last = asked.view.open, was.last if was.run == asked.run else ""
        if not sample:
            return _closed("No rationale is open.", replace(was, run=asked.run, sample="", last=last))
        try:
            row = self.services.review.one(asked.run, sample)
        except NotFound:
            return _closed("This rationale is not there any more.", replace(was, run=asked.run, sample="", last=last))
        now = _Open(asked.run, sample, row["version"], bool(row["approved"]), last, was.page)
        same = (was.run, was.sample) == (now.run, now.sample)
        if same and was == now and not fresh:
            return [gr.skip() for _ in range(8)]
        writes = same and not fresh and _unsaved(row, was, asked.text)
        newer = writes and was.version != now.version
        numbers = [(f"{one['version']} · {one['origin']}", one["version"]) for one in row["versions"]]
        return [
            now.write(),
            rationale_html(row, _CHANGED if newer else ""),
            gr.skip() if writes else row["compressed"],
            versions_html(row["versions"]),
            gr.Dropdown(numbers, value=max(0, row["version"] - 1)),
            *enable(
                now.approved or last,
                self.services.compress.can_ask(asked.run, row["teacher"]),
                len(numbers) > 1,
            ),
        ]


_NO_RUN = (
    "A run with stage 2 rewrites rationales after stage 1, so that the student can follow them. Start one on the page "
    "Train; with 'wait for my review' it stops here until you have read them."
)
_NOT_YET = "This run has not compressed anything. Its rationales appear here once stage 1 has been trained."


def _nothing(title: str, message: str, project: str) -> list[Any]:
    """The page where there is nothing to review."""
    off, gone = gr.Button(interactive=False), gr.Column(visible=False)
    return ["", empty_html(title, message, Link("Train", "/train", project)), gone, "", off, gone, "", "", *_closed("")]


def _closed(message: str, now: _Open = _Open()) -> list[Any]:
    """The part of one rationale where none is open."""
    return [now.write(), notice_html(message), "", "", gr.Dropdown([], value=None), *enable(*[False] * 3)]


def _named(was: _Open) -> _Open:
    if not was.sample:
        raise InputError("Open a rationale in the list first.")
    return was


def _unsaved(row: dict[str, Any], was: _Open, text: str) -> bool:
    """Whether the box holds something else than the version that was opened."""
    opened = next((one["text"] for one in row["versions"] if one["version"] == was.version), "")
    return str(text or "").split() != str(opened).split()


def _first(page: Rows, summary: ReviewSummary) -> str:
    """What is open where the address names none: what there is to review, else the first."""
    left = [row["sample"] for row in page.rows if not row["approved"]] if summary.reviewed else []
    rows: Sequence[str] = left or [row["sample"] for row in page.rows]
    return rows[0] if rows else ""


def _waits_html(summary: ReviewSummary) -> str:
    if not summary.waiting:
        return ""
    done = f"{summary.approved:,} of {counted(summary.rationales, 'rationale')} approved"
    return f"<h2>Stage 2 waits for you</h2><p>{done}. What is left unapproved is not taught.</p>"


def _command_html(summary: ReviewSummary, run: str) -> str:
    if summary.waiting:
        words = ["tacit", "compress", run[:8], "--approve"]
        return command_html(words, "Approve the rest and continue, as a command")
    return command_html(["tacit", "compress", run[:8]])


def _listing(page: Rows, view: View, summary: ReviewSummary, run: str) -> Listing:
    rows = [
        {
            "id": row["sample"],
            "pick": f"{row['sample']} {row['version']}",
            "query": row["query"][:160],
            "tokens": tokens_cell(row),
            "state": state_cell(row, summary.reviewed),
        }
        for row in page.rows
    ]
    return Listing(
        rows=rows,
        columns=[Column("query", "Query", "query"), Column("tokens", "Tokens", "tokens"), Column("state", "State")],
        view=view,
        begin=page.begin,
        total=page.total,
        size=PAGE,
        noun="rationale" if page.total == 1 else "rationales",
        filters=FILTERS,
        searched="Search rationales",
        empty="No rationale matches. Clear the search, or choose another filter.",
        picks=[("approve", "Approve")],
        scope=run,
        csv=True,
    )
