"""The lower half of Select: the queries, one of them in full, and a person's decisions over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import gradio as gr

from app.services import Services
from app.usecases.selection.queries import FILTERS, LISTED, Detail
from app.web.address import View, read_view
from app.web.choices import Question, enable, lay_question
from app.web.downloads import Downloads
from app.web.fields import lay_html
from app.web.forms import Entered
from app.web.frame import Frame
from app.web.lists import lay_sent, offer_csv, write_list
from app.web.offers import OF_COPY
from app.web.pages.outcome import draw_outcome
from app.web.pages.review import asked_html, is_kept, samples_html, say_labels, say_sample
from app.web.pages.selection import RAW, SelectionForm
from app.web.parts.candidates import CHOOSE, CHOSEN
from app.web.parts.code import command_html, commands_html
from app.web.parts.listing import LISTING, Column, Listing, listing_html
from app.web.parts.messages import notice_html
from app.web.parts.picking import ACTED, PICKING, UNCHOOSE, read_ids, toast_html
from engine.errors import NotFound, StateError
from engine.selection.settings import SelectionConfig
from engine.wording import counted
from storage.projects import Project

_EVERY = "every teacher"
_COLUMNS = [
    Column("query", "Query", "text"),
    Column("of", "Kept", "-kept"),
    Column("answers", "Labels"),
    Column("cosine", "Cosine", "cosine"),
]
_PICKS = (("keep", "Keep samples"), ("drop", "Drop samples"))
_KEYS = "".join(
    f"<span><kbd>{key}</kbd> {said}</span>"
    for key, said in (
        *(("j", "next query"), ("p", "previous"), ("1-9", "or arrows: choose a sample")),
        *(("x", "tick the row"), ("c", "copy the query"), ("/", "search")),
    )
)
_FOCUS = "() => document.querySelector('.rationale textarea')?.focus()"


@dataclass(frozen=True)
class _Laid:
    """The components of this half."""

    listed: gr.HTML
    every: dict[str, Any]
    head: gr.HTML
    said: gr.HTML
    one: gr.HTML
    opened: gr.Textbox
    chosen: gr.Textbox
    text: gr.Textbox
    seen: gr.Textbox
    instead: gr.Dropdown
    buttons: dict[str, gr.Button]

    @property
    def shown(self) -> list[Any]:
        """What shows the list and the open query."""
        ends = [self.buttons["undo"], self.every["keep"], self.every["drop"]]
        return [self.listed, self.head, self.one, self.opened, self.chosen, *self.picked, *ends]

    @property
    def picked(self) -> list[Any]:
        """What follows the chosen sample."""
        own = [self.buttons[name] for name in ("keep", "drop", "edit", "save", "swap")]
        return [self.text, self.seen, self.instead, *own]


def build(frame: Frame, form: SelectionForm, numbers: list[Any]) -> dict[str, Any]:
    """Lay this half out and bind its handlers. `numbers` are the components that decisions change above.

    Returns what an event is bound with that shows this half anew.
    """
    laid, question = _lay()
    do = _Handlers(frame.services, question)
    open_now = [laid.opened, laid.chosen, laid.seen]
    frame.fill_view(laid.shown, open_now, do.show_page)
    quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", **frame.quiet}
    show = {"fn": frame.guard(do.show_page), "inputs": [frame.project, frame.address, *open_now]}
    choice = laid.one.click(None, None, laid.chosen, js=CHOSEN, show_progress="hidden", **frame.quiet)
    pick_from = [frame.project, frame.address, laid.opened, laid.chosen]
    choice.then(frame.guard(do.pick), pick_from, laid.picked, **quiet)
    laid.buttons["edit"].click(None, None, None, js=_FOCUS, **frame.quiet)

    def bind(event: Any, work: Any, inputs: list[Any], outputs: Sequence[Any] = (), anew: bool = False) -> Any:
        """A decision; then the numbers, and the list and the open query as they are after it.

        What a person may be typing into is left alone, unless it is to be shown `anew`.
        """
        hidden: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
        decided = event(frame.guard(work), inputs, [laid.said, *outputs], **hidden)
        again = {**show, "fn": frame.guard(do.show_anew), "inputs": pick_from} if anew else show
        drawn = decided.success(**again, outputs=laid.shown, **hidden)
        counted_ = drawn.success(frame.guard(do.numbers, form), [frame.project, *form.inputs], numbers, **RAW, **hidden)
        frame.follow(counted_)
        return decided

    on = [frame.project, frame.address, laid.chosen]
    bind(laid.buttons["keep"].click, do.keep, on)
    bind(laid.buttons["drop"].click, do.drop, on)
    bind(laid.buttons["swap"].click, do.swap, [*on, laid.instead])
    for event in (laid.buttons["save"].click, laid.text.submit):
        bind(event, do.edit, [*on, laid.text, laid.seen], outputs=[laid.seen])
    bind(laid.buttons["undo"].click, do.undo, [frame.project], anew=True)
    acted = bind(partial(laid.listed.apply, js=ACTED), do.decide_chosen, [frame.project, *lay_sent()], anew=True)
    acted.success(None, None, None, js=UNCHOOSE, **frame.quiet)
    offer_csv(frame, laid.listed, do.save_list)
    every, viewed = laid.every, [frame.project, frame.address, laid.every["teacher"]]
    asking = [question.row, question.text, every["wanted"]]
    every["keep"].click(frame.guard(do.ask_keep_all), viewed, asking, **frame.quiet)
    every["drop"].click(frame.guard(do.ask_drop_all), viewed, asking, **frame.quiet)
    question.no.click(frame.guard(do.leave_all), frame.project, question.row, **frame.quiet)
    bind(question.yes.click, do.decide_all, [*viewed, every["wanted"]], outputs=[question.row])
    frame.fill_once([every["teacher"]], do.start)
    return {**show, "outputs": laid.shown}


def _lay() -> tuple[_Laid, Question]:
    lay_html("<h2>Review</h2>")
    with gr.Row(elem_classes=["top", "review"]):
        with gr.Column(scale=2, min_width=320):
            listed = lay_html(js_on_load=LISTING + PICKING)
            every, question = _lay_every()
        with gr.Column(scale=3, min_width=320):
            head, buttons, instead = lay_html(), *_lay_buttons()
            said = lay_html()
            one = lay_html(js_on_load=CHOOSE)
            text = gr.Textbox(
                label="Rationale of the chosen sample",
                info="Shift and Enter save; Escape leaves the box. The teacher's own text stays, undo brings it back.",
                lines=4,
                max_lines=14,
                interactive=True,
                elem_classes=["rationale", OF_COPY],
            )
            buttons["save"] = gr.Button("Save edit", interactive=False)
    opened, chosen, seen = (gr.Textbox("", visible=False) for _ in range(3))
    return _Laid(listed, every, head, said, one, opened, chosen, text, seen, instead, buttons), question


def _lay_every() -> tuple[dict[str, Any], Question]:
    """What decides for all samples that are found."""
    with gr.Accordion("Decide for all samples that the search and filter find", open=False):
        with gr.Row():
            teacher = gr.Dropdown([_EVERY], value=_EVERY, label="Of", min_width=140)
            keep, drop = (gr.Button(f"{name} all", interactive=False) for name in ("Keep", "Drop"))
        question = lay_question("Apply to all", "Cancel")
    return {"teacher": teacher, "keep": keep, "drop": drop, "wanted": gr.Textbox("", visible=False)}, question


def _lay_buttons() -> tuple[dict[str, gr.Button], gr.Dropdown]:
    """What decides over the chosen sample, each by its key."""
    with gr.Row(elem_classes="decisions"):
        buttons = {
            name: gr.Button(title, interactive=False, elem_classes=[f"key-{key}"])
            for name, title, key in (("keep", "Keep", "k"), ("drop", "Drop", "d"), ("swap", "Swap", "s"))
        }
        buttons["edit"] = gr.Button("Edit", interactive=False, elem_classes=["key-e", OF_COPY])
        buttons["undo"] = gr.Button("Undo", interactive=False, elem_classes=["key-u"])
        instead = gr.Dropdown([], label="Swap with", visible=False, min_width=140, interactive=True)
    lay_html(f"<p class='keys'>{_KEYS}</p>")
    return buttons, instead


@dataclass(frozen=True)
class _Handlers:
    """What the events do; each returns the values of its components in their order.

    The open query is the one that the address names, else the one that was open before, else the first of the page.
    `opened` says which that was, behind it what list it was opened from.
    """

    services: Services
    question: Question
    downloads: Downloads = field(default_factory=Downloads)

    def start(self, project: Project | None) -> Any:
        teachers = [spec.name for spec in self.services.projects.teachers(project)] if project else []
        return gr.Dropdown([_EVERY, *teachers], value=_EVERY)

    def numbers(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        return draw_outcome(self.services, project, settings.read)

    def show_page(self, project: str, address: str, opened: str, chosen: str, seen: str) -> list[Any]:
        view = read_view(address)
        page = self.services.browse.page(project, view.search, view.show, view.sort, view.page)
        first = str(page.rows[0]["id"]) if page.rows else ""
        was, _, of = opened.partition(" ")
        query_id = view.open or (was if of == _mark(view) else "") or first
        rows = [
            {**row, "of": f"{row['kept']}/{row['samples']}", "answers": say_labels(row["answers"])} for row in page.rows
        ]
        listing = Listing(
            rows=rows,
            columns=_COLUMNS,
            view=replace(view, open=query_id),
            begin=page.begin,
            total=page.total,
            size=LISTED,
            noun="query" if page.total == 1 else "queries",
            filters=FILTERS,
            searched="Search the queries",
            empty="No query matches. Clear the search, or choose another filter.",
            picks=_PICKS,
            csv=True,
        )
        of_project = self.services.projects.get(project).id
        can_undo, decides = self.services.select.can_undo(of_project), self.services.select.is_selected(of_project)
        shown = self._open(project, query_id, chosen, seen)
        place = f"{query_id} {_mark(view)}"
        return [listing_html(listing), *shown[:2], place, *shown[2:], *enable(can_undo, *[decides and page.total] * 2)]

    def show_anew(self, project: str, address: str, opened: str, chosen: str) -> list[Any]:
        """As `show_page`, with the chosen sample's text as it is now."""
        return self.show_page(project, address, opened, chosen, "")

    def _open(self, project: str, query_id: str, chosen: str, seen: str) -> list[Any]:
        """One query: its text, its samples, the chosen one and what follows it; its text where another was shown."""
        try:
            detail = self.services.browse.detail(project, query_id) if query_id else None
        except NotFound:
            detail = None
        if detail is None or not detail.samples:
            gone = notice_html("This query is not there any more. Choose another one.") if query_id else ""
            return [gone, "", "", *self._picked(None, [])]
        rows = detail.samples
        row = next((row for row in rows if row["id"] == chosen), None) or next(filter(is_kept, rows), rows[0])
        follows = self._picked(row, rows)
        if seen.partition(" ")[0] == row["id"]:
            follows[:2] = [gr.skip(), gr.skip()]
        cut = self.services.browse.settings(project).cut if row["reason"] else None
        shown = samples_html(detail, row["id"], cut) + _as_commands(project, rows)
        return [asked_html(detail), shown, row["id"], *follows]

    def pick(self, project: str, address: str, opened: str, chosen: str) -> list[Any]:
        rows = self._samples(project, address, opened).samples
        return self._picked(next((row for row in rows if row["id"] == chosen), None), rows)

    def _picked(self, row: dict[str, Any] | None, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """A sample's text, whose and which edit of it that is, what it may be swapped with, and what can be done."""
        if row is None:
            return ["", "", gr.Dropdown([], value=None, visible=False), *enable(*[False] * 5)]
        kept = [(f"{place}. {other['teacher']}", other["id"]) for place, other in enumerate(rows, 1) if is_kept(other)]
        can_swap = 0 < len(kept) < len(rows)  # whichever is chosen: keys are faster than what an answer enables
        instead = gr.Dropdown(kept, value=kept[-1][1] if kept else None, visible=can_swap and len(kept) > 1)
        decides = bool(row["reason"])
        return [row["rationale"], f"{row['id']} {row['edit']}", instead, *enable(*[decides] * 4, decides and can_swap)]

    def _samples(self, project: str, address: str, opened: str = "") -> Detail:
        """The query that is open."""
        view = read_view(address)
        query_id = view.open or opened.partition(" ")[0]
        if not query_id:
            raise StateError("No query is open. Choose one, then one of its samples.")
        return self.services.browse.detail(project, query_id)

    def keep(self, project: str, address: str, chosen: str) -> str:
        return self._overrule(project, address, chosen, "keep")

    def drop(self, project: str, address: str, chosen: str) -> str:
        return self._overrule(project, address, chosen, "drop")

    def _overrule(self, project: str, address: str, chosen: str, action: Literal["keep", "drop"]) -> str:
        what = self._chosen(project, address, chosen)
        self.services.select.overrule(project, [chosen], action)
        return notice_html(f"{'Kept' if action == 'keep' else 'Dropped'} by hand: {what}. Undo: u.", tone="good")

    def _chosen(self, project: str, address: str, sample_id: str) -> str:
        """What the chosen sample is, in words.

        Raises:
            StateError: if none is chosen, or it is not one of the query that the address opens: then another one was
                opened a moment ago, and nobody has seen its samples yet.
        """
        if not sample_id:
            raise StateError("Choose a query, then one of its samples. Nothing was decided.")
        query_id, query = self.services.browse.query_of(project, sample_id)
        opened = read_view(address).open
        if opened and query_id != opened:
            raise StateError("Another query was opened before its samples were shown. Nothing was decided.")
        row = next(r for r in self.services.browse.detail(project, query_id).samples if r["id"] == sample_id)
        return say_sample(row, query)

    def swap(self, project: str, address: str, chosen: str, instead_of: str | None) -> str:
        what = self._chosen(project, address, chosen)
        if not instead_of:
            raise StateError("No kept sample to take the place of. Nothing was decided.")
        query_id, _ = self.services.browse.query_of(project, chosen)
        rows = {row["id"]: row for row in self.services.browse.detail(project, query_id).samples}
        if is_kept(rows[chosen]) or instead_of not in rows:
            raise StateError("Choose a sample of this query that is not kept, to swap it in. Nothing was decided.")
        other = self._chosen(project, address, instead_of)
        self.services.select.swap(project, chosen, instead_of)
        return notice_html(f"Swapped: kept {what}, dropped {other.partition(' for ')[0]}. Undo: u.", tone="good")

    def edit(self, project: str, address: str, chosen: str, text: str, seen: str) -> list[Any]:
        what = self._chosen(project, address, chosen)
        shown, _, number = seen.partition(" ")
        if shown != chosen or not number.isdecimal():
            raise StateError("The text in the box is another sample's: choose the sample again. Nothing was stored.")
        made = self.services.select.edit(project, shown, text, int(number))
        return [notice_html(f"Edit saved: {what}. Undo: u.", tone="good"), f"{shown} {made}"]

    def decide_chosen(self, project: str, action: str, ids: str) -> str:
        """Keep or drop all samples of the chosen queries, or undo it."""
        if action == "undo":
            return self.undo(project)
        wanted: Literal["keep", "drop"] = "keep" if action == "keep" else "drop"
        queries = read_ids(ids)
        samples = self.services.browse.samples_of(project, queries)
        if not samples:
            raise StateError("Choose queries by their boxes first. Nothing was decided.")
        self.services.select.overrule(project, samples, wanted)
        done, of = "Kept" if wanted == "keep" else "Dropped", counted(len(queries), "query", "queries")
        return toast_html(f"{done} {counted(len(samples), 'sample')} of {of} by hand.", "undo")

    def save_list(self, project: str, address: str) -> str:
        """The queries that the address asks for, as a file."""
        view = read_view(address)
        sheet = self.services.browse.sheet(project, view.search, view.show, view.sort)
        return write_list(self.downloads, sheet, project, "selection", address)

    def undo(self, project: str) -> str:
        undone = self.services.select.undo(project)
        if undone is None:
            return notice_html("Nothing to undo.")
        samples = undone["samples"]
        of = ""
        if len(samples) <= 2:
            of = f", for “{self.services.browse.query_of(project, samples[0])[1]}”"
        return notice_html(f"Undone: {undone['action']} of {counted(len(samples), 'sample')}{of}.")

    def ask_keep_all(self, project: str, address: str, teacher: str) -> list[Any]:
        return [*self.question.asked(self._asking(project, address, teacher, "Keep")), "keep"]

    def ask_drop_all(self, project: str, address: str, teacher: str) -> list[Any]:
        return [*self.question.asked(self._asking(project, address, teacher, "Drop")), "drop"]

    def leave_all(self, project: str) -> Any:
        return self.question.closed()

    def _asking(self, project: str, address: str, teacher: str, what: str) -> str:
        count = counted(len(self._matching(project, address, teacher)), "sample")
        asked = notice_html(f"{what} {count} of {teacher} by hand? One undo takes all of them back.", tone="warn")
        view, command = read_view(address), ["tacit", "decide", what.lower(), project]
        command += ["--search", view.search] if view.search else []
        command += ["--filter", view.show] if view.show in FILTERS else []
        command += ["--teacher", teacher] if teacher != _EVERY else []
        return asked + (command_html(command) if len(command) > 4 else "")

    def _matching(self, project: str, address: str, teacher: str) -> list[str]:
        view = read_view(address)
        which = view.show if view.show in FILTERS else ""
        return self.services.browse.matching(project, view.search, which, None if teacher == _EVERY else teacher)

    def decide_all(self, project: str, address: str, teacher: str, wanted: str) -> list[Any]:
        action: Literal["keep", "drop"] = "keep" if wanted == "keep" else "drop"
        sample_ids = self._matching(project, address, teacher)
        self.services.select.overrule(project, sample_ids, action)
        done = "Kept" if action == "keep" else "Dropped"
        message = f"{done} {counted(len(sample_ids), 'sample')} by hand. Undo: u, all of them at once."
        return [notice_html(message, tone="good"), self.question.closed()]


def _as_commands(project: str, rows: Sequence[dict[str, Any]]) -> str:
    """The commands that decide over a query's samples as they are decided now."""
    decided = [row for row in rows if row["reason"]]
    kept, others = [[row["id"] for row in decided if is_kept(row) is wanted] for wanted in (True, False)]
    commands = [["tacit", "decide", action, project, *ids] for action, ids in (("keep", kept), ("drop", others)) if ids]
    return commands_html(commands) if commands else ""


def _mark(view: View) -> str:
    """What tells one list from another."""
    return f"{view.page} {view.show} {view.sort} {view.search}"
