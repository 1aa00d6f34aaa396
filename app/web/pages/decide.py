"""The lower half of Select: the queries, one of them in full, and a person's decisions over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr

from app.services import Services
from app.usecases.selection.queries import FILTERS, LISTED, Detail
from app.web.choices import PICK, enable, opened_id
from app.web.fields import lay_html
from app.web.forms import Entered
from app.web.frame import Frame
from app.web.pages.selection import RAW, SelectionForm, draw_numbers, say_reason
from app.web.parts.messages import notice_html
from app.web.parts.tables import Opener, table_html
from app.web.parts.texts import marked_html
from app.web.plots import heatmap
from engine.errors import StateError
from engine.selection.settings import SelectionConfig
from engine.wording import counted
from storage.projects import Project

_EVERY = "every teacher"


@dataclass(frozen=True)
class Listed:
    """The list of queries: what finds them, its components, and what fills these with the first page."""

    asked: list[Any]
    parts: list[Any]
    first: Any


def build(frame: Frame, form: SelectionForm, numbers: list[Any]) -> Listed:
    """Lay this half out and bind its handlers. `numbers` are the components that decisions change above."""
    do = _Handlers(frame.services)
    find, turns, listing = _lay_list()
    opened = gr.Textbox(visible=False)
    one, buttons = _lay_detail()
    page = [*listing, *turns, buttons["undo"]]
    query_rows, after = page[:2]
    sample, instead, text, seen = one[2:6]
    few = [*one[:2], instead, *one[6:]]
    asked = [frame.project, *find[:2]]
    for event in (turns[0].click, find[0].submit, find[1].change):
        event(frame.guard(do.first), asked, page, **frame.quiet)
    turns[1].click(frame.guard(do.turn), [*asked, after], page, **frame.quiet)
    picked = query_rows.click(opened_id, None, opened, show_progress="hidden", **frame.quiet)
    last: dict[str, Any] = {"trigger_mode": "always_last", **frame.quiet}
    picked.success(frame.guard(do.look), [frame.project, opened], one, **last)
    sample.input(frame.guard(do.pick), [frame.project, opened, sample], [text, seen], **last)

    def bind(event: Any, work: Any, inputs: list[Any], outputs: Sequence[Any] = (), anew: bool = False) -> None:
        """A decision, then the numbers, the list and the open query as they are after it.

        What a person may be typing into is left alone, unless it is to be shown `anew`.
        """
        quiet: dict[str, Any] = {"show_progress": "hidden", **frame.quiet}
        decided = event(frame.guard(work), [frame.project, *inputs], [buttons["said"], *outputs], **frame.quiet)
        shown = frame.guard(do.numbers, form)
        counted = decided.success(shown, [frame.project, *form.inputs], numbers, **RAW, **quiet)
        turned = counted.success(frame.guard(do.stay), [*asked, after], page, **quiet)
        looked = frame.guard(do.look if anew else do.redraw)
        frame.follow(turned.success(looked, [frame.project, opened, sample], one if anew else few, **quiet))

    bind(buttons["keep"].click, do.keep, [sample])
    bind(buttons["drop"].click, do.drop, [sample])
    bind(buttons["swap"].click, do.swap, [sample, instead])
    bind(buttons["save"].click, do.edit, [sample, text, seen], outputs=[seen])
    bind(buttons["undo"].click, do.undo, [], anew=True)
    bind(turns[2].click, do.keep_all, find)
    bind(turns[3].click, do.drop_all, find)
    frame.fill_once([find[2], *page], do.start)
    return Listed(asked, page, do.first)


def _lay_list() -> tuple[list[Any], list[Any], list[Any]]:
    """What finds queries, what turns pages and decides for all found, and the list with its place."""
    with gr.Row():
        search = gr.Textbox(label="Search the queries", max_length=200)
        which = gr.Dropdown(list(FILTERS), value="all", label="Show")
        first, forward = (gr.Button(name, interactive=False) for name in ("First page", "Next page"))
    with gr.Accordion("Decide for all samples that the search and the filter find", open=False), gr.Row():
        teacher = gr.Dropdown([_EVERY], value=_EVERY, label="Of")
        keep = gr.Button("Keep them all", interactive=False)
        drop = gr.Button("Drop them all", variant="stop", interactive=False)
    queries = lay_html(js_on_load=PICK)
    return [search, which, teacher], [first, forward, keep, drop], [queries, gr.State([0, 0])]


def _lay_detail() -> tuple[list[Any], dict[str, Any]]:
    """What shows one query, and what decides over it."""
    off: dict[str, Any] = {"interactive": False}
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            detail = lay_html()
        with gr.Column(scale=2, min_width=320):
            matrix = gr.Plot(label="cosine similarity of its rationales", visible=False)
            sample = gr.Dropdown([], label="Sample to decide on", interactive=True)
            text = gr.Textbox(label="Its rationale", lines=5, max_lines=14, interactive=True)
            with gr.Row():
                save = gr.Button("Save the edit", **off)
                keep, drop = gr.Button("Keep", **off), gr.Button("Drop", variant="stop", **off)
            with gr.Row():
                instead = gr.Dropdown([], label="in the place of", interactive=True)
                swap = gr.Button("Swap", **off)
            undo = gr.Button("Undo the last decision", **off)
            said = lay_html()
    buttons = {"save": save, "keep": keep, "drop": drop, "swap": swap, "undo": undo, "said": said}
    shown = [detail, matrix, sample, instead, text, gr.Textbox("0", visible=False)]
    return [*shown, save, keep, drop, swap], buttons


@dataclass(frozen=True)
class _Handlers:
    """What the events do; each returns the values of its components in their order."""

    services: Services

    def start(self, project: Project | None) -> list[Any]:
        if project is None:
            return [gr.update(), "", [0, 0], *enable(*[False] * 5)]
        teachers = [spec.name for spec in self.services.projects.teachers(project)]
        return [gr.Dropdown([_EVERY, *teachers], value=_EVERY), *self.first(project.name, "", "all")]

    def numbers(self, project: str, settings: Entered[SelectionConfig]) -> list[Any]:
        return draw_numbers(self.services, project, settings.read)

    def first(self, project: str, search: str, which: str) -> list[Any]:
        return self._page(project, search, which, 0)

    def turn(self, project: str, search: str, which: str, place: list[int]) -> list[Any]:
        return self._page(project, search, which, place[1])

    def stay(self, project: str, search: str, which: str, place: list[int]) -> list[Any]:
        return self._page(project, search, which, place[0])

    def _page(self, project: str, search: str, which: str, begin: int) -> list[Any]:
        """The list behind a position, where it begins and ends, and the buttons for pages and for all that is found."""
        rows = self.services.browse.queries(project, search, which, begin)
        shown = [
            {"query": Opener(row["query"], row["id"]), **{k: v for k, v in row.items() if k not in _HIDDEN}}
            for row in rows
        ]
        table = table_html(shown, empty="No query here. Select first, or search for something else.")
        of = self.services.projects.get(project)
        decides = bool(rows) and self.services.select.is_selected(of.id)
        can = enable(begin > 0, len(rows) == LISTED, decides, decides, self.services.select.can_undo(of.id))
        return [table, [begin, rows[-1]["position"] if rows else 0], *can]

    def look(self, project: str, query_id: str | None, chosen: str | None = None) -> list[Any]:
        if not query_id:
            none = [gr.Dropdown([], value=None), gr.Dropdown([], value=None)]
            return ["", gr.Plot(visible=False), *none, "", "0", *enable(*[False] * 4)]
        detail = self.services.browse.detail(project, query_id)
        names = [(f"{place}. {row['teacher']}: {row['label']}", row["id"]) for place, row in _numbered(detail)]
        row = next(
            (row for row in detail.samples if row["id"] == chosen), detail.samples[0] if detail.samples else None
        )
        kept = [(name, i) for (name, i), row in zip(names, detail.samples, strict=True) if _is_kept(row)]
        return [
            _detail_html(detail),
            gr.Plot(heatmap(detail), visible=True) if detail.cosines is not None else gr.Plot(visible=False),
            gr.Dropdown(names, value=row["id"] if row else None),
            gr.Dropdown(kept, value=kept[-1][1] if kept else None),
            *(self._shown(row) if row else ["", "0"]),
            *enable(*[bool(row and row["reason"])] * 3, len(kept) > 0 and len(names) > 1),
        ]

    def redraw(self, project: str, query_id: str | None, chosen: str | None) -> list[Any]:
        detail, drawn, _, instead, _, _, *can = self.look(project, query_id, chosen)
        return [detail, drawn, instead, *can]

    def pick(self, project: str, query_id: str, sample_id: str | None) -> list[Any]:
        detail = self.services.browse.detail(project, query_id)
        row = next((row for row in detail.samples if row["id"] == sample_id), None)
        if row is None:
            raise StateError("This sample is not there any more; open the query again.")
        return self._shown(row)

    def _shown(self, row: dict[str, Any]) -> list[Any]:
        """A sample's text, and whose text and which edit of it that is."""
        return [row["rationale"], f"{row['id']} {row['edit']}"]

    def keep(self, project: str, sample_id: str | None) -> str:
        return self._overrule(project, sample_id, "keep")

    def drop(self, project: str, sample_id: str | None) -> str:
        return self._overrule(project, sample_id, "drop")

    def _overrule(self, project: str, sample_id: str | None, action: Literal["keep", "drop"]) -> str:
        self.services.select.overrule(project, [_chosen(sample_id)], action)
        return notice_html("kept by hand" if action == "keep" else "dropped by hand")

    def swap(self, project: str, sample_id: str | None, instead_of: str | None) -> str:
        self.services.select.swap(project, _chosen(sample_id), _chosen(instead_of))
        return notice_html("swapped: one is kept by hand, the other dropped")

    def edit(self, project: str, sample_id: str | None, text: str, seen: str) -> list[Any]:
        shown, _, number = seen.partition(" ")
        if shown != _chosen(sample_id):
            raise StateError("The text in the box is another sample's: choose the sample again. Nothing was stored.")
        made = self.services.select.edit(project, shown, text, int(number))
        return [notice_html("saved; the teacher's own text stays, and undo brings it back"), f"{shown} {made}"]

    def keep_all(self, project: str, search: str, which: str, teacher: str) -> str:
        return self._decide_all(project, (search, which, teacher), "keep")

    def drop_all(self, project: str, search: str, which: str, teacher: str) -> str:
        return self._decide_all(project, (search, which, teacher), "drop")

    def _decide_all(self, project: str, find: tuple[str, str, str], action: Literal["keep", "drop"]) -> str:
        search, which, teacher = find
        sample_ids = self.services.browse.matching(project, search, which, None if teacher == _EVERY else teacher)
        self.services.select.overrule(project, sample_ids, action)
        done = "kept" if action == "keep" else "dropped"
        return notice_html(f"{counted(len(sample_ids), 'sample')} {done} by hand; undo takes all of them back")

    def undo(self, project: str) -> str:
        undone = self.services.select.undo(project)
        message = (
            f"undone: {undone['action']} of {counted(len(undone['samples']), 'sample')}"
            if undone
            else "nothing to undo"
        )
        return notice_html(message)


_HIDDEN = ("position", "id", "query")


def _chosen(sample_id: str | None) -> str:
    if not sample_id:
        raise StateError("Open a query and choose a sample first.")
    return sample_id


def _is_kept(row: dict[str, Any]) -> bool:
    return str(row["reason"]).startswith("kept")


def _numbered(detail: Detail) -> Sequence[tuple[int, dict[str, Any]]]:
    return list(enumerate(detail.samples, 1))


def _detail_html(detail: Detail) -> str:
    rows = [
        {
            "": place,
            "teacher": row["teacher"],
            "label": row["label"],
            "confidence": row["confidence"],
            "why": say_reason(row["reason"]) + (", edited" if row["edit"] else ""),
        }
        for place, row in _numbered(detail)
    ]
    pair = [row for row in detail.samples if _is_kept(row)][:2]
    beside = marked_html(*((row["teacher"], row["rationale"]) for row in pair)) if len(pair) == 2 else ""
    others = [
        {"teacher": row["teacher"], "rationale": row["rationale"]}
        for row in detail.samples
        if row not in pair or not beside
    ]
    own = [{"teacher": row["teacher"], "before the edit": row["original"]} for row in detail.samples if row["edit"]]
    return notice_html(detail.query) + table_html(rows) + beside + table_html(others) + table_html(own)
