"""Samples for the page Kit: the frame around pages, and what all pages are made of.

Here and in the modules beside it a part is a title with a function of its states, each a name with its HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from app.usecases.labelling.waits import Wait
from app.usecases.projects.status import Mark, RunningJob
from app.web.address import View
from app.web.parts.code import code_html, command_html, commands_html
from app.web.parts.histogram import Limit, histogram_html
from app.web.parts.icons import NAMES, icon_html
from app.web.parts.links import Link, button_html, links_html, way_html
from app.web.parts.listing import Column, Listing, listing_html
from app.web.parts.matrix import matrix_html
from app.web.parts.messages import Tone, empty_html, guide_html, note_html, notice_html
from app.web.parts.picking import act_html, toast_html
from app.web.parts.scatter import ScatterDot, scatter_html
from app.web.parts.shell import TopBar, bar_html, head_html, rail_html, strip_html, topbar_html
from app.web.parts.tables import Opener, Raw, Spark, table_html, titled
from app.web.parts.terms import TERMS, explained_html
from app.web.parts.texts import columns_html, log_html, marked_html, replies_html
from app.web.parts.tiles import Tile, badge_html, card_html, tiles_html, verdict_html
from app.web.parts.tour import STOPS, tour_html

_TONES: tuple[Tone, ...] = ("", "good", "warn", "bad")
_LONG = "sample-" * 20
"""A name as long as no column has room for."""


def in_window(html: str, mark: str = "") -> str:
    """A part that a page lays over itself, kept in its place; with a mark, with ids of its own."""
    if mark:
        html = html.replace("id='", f"id='{mark}-").replace("for='", f"for='{mark}-")
    return f"<div class='kit-window'>{html}</div>"


def below(*parts: str) -> str:
    """Parts that a page lays one below the other."""
    return "<div class='kit-gap'></div>".join(filter(None, parts))


def _jobs() -> list[RunningJob]:
    waits = {"ann": Wait(40.0), "ben": Wait(300.0, longer=True)}
    return [
        RunningJob("1", "sample", "student", "running", "stage2", 40, 150, 200.0),
        RunningJob("2", "sample", "label", "running", "", 12, None, None, waits),
        RunningJob("3", _LONG, "export", "queued", "", None, None),
    ]


def _topbar() -> Mapping[str, str]:
    projects = [Link(name, "/overview", name) for name in ("sample", "another")]
    bar = TopBar("sample", projects, spent="$1.25 spent", jobs="/jobs")
    bars = {
        "No project": TopBar("", []),
        "A project, nothing runs": bar,
        "Jobs run": replace(bar, running=_jobs()),
        "The only project, with a long name": TopBar(_LONG, [], jobs="/jobs"),
    }
    return {name: in_window(topbar_html(one), f"kit-bar-{at}") for at, (name, one) in enumerate(bars.items())}


def _rail() -> Mapping[str, str]:
    marks = [
        Mark("Home", "/", "todo", ""),
        Mark("Overview", "/overview", "todo", ""),
        Mark("Data", "/data", "done", "480 queries"),
        Mark("Label", "/label", "running", "1,440 samples, $1.25"),
        Mark("Select", "/select", "stale", "875 kept"),
        Mark("Compress", "/compress", "todo", "waits for you"),
        Mark("Jobs and spend", "/jobs", "running", ""),
    ]
    rails = [(marks, "sample", "Select", "sample"), ([marks[0], marks[-1]], "", "Home", "")]
    drawn = [in_window(rail_html(*values), f"kit-rail-{at}") for at, values in enumerate(rails)]
    return {"A project, its steps in all states; and no project": f"<div class='kit-rails'>{''.join(drawn)}</div>"}


def _head() -> Mapping[str, str]:
    heads = head_html("A page", "What it is for."), head_html("A page", "What it is for.", Link("Next", "/data", ""))
    named = zip(("Without a way onwards", "With one"), heads, strict=True)
    return {name: in_window(html, f"kit-head-{at}") for at, (name, html) in enumerate(named)}


def _strip() -> Mapping[str, str]:
    return {
        "Nothing runs": strip_html([]),
        "Running, waiting and queued": in_window(strip_html(_jobs(), here="sample")),
        "The watch over jobs failed": in_window(strip_html(_jobs()[:1], "The watch over jobs ended: a sample error.")),
    }


def _bars() -> Mapping[str, str]:
    return {
        "Nothing done": bar_html(0, 150),
        "Some": bar_html(40, 150),
        "All": bar_html(150, 150),
        "Not known of how many": bar_html(40, None),
    }


def _toasts() -> Mapping[str, str]:
    return {
        "Done": in_window(toast_html("3 jobs cancelled. What was written so far is kept.")),
        "Can be taken back": in_window(toast_html("Approved 12 rationales.", "withdraw", ["a", "b"])),
    }


def _tour() -> Mapping[str, str]:
    stops = {"The first stop": 1, "One between": 2, "The last stop": len(STOPS)}
    drawn = {name: tour_html(number, STOPS[number - 1].page, "sample") for name, number in stops.items()}
    return {**drawn, "A page that is not the stop's": tour_html(2, "Data", "sample")}


def _icons() -> Mapping[str, str]:
    return {
        "": "<div class='kit-icons'>" + "".join(f"<span>{icon_html(name)}{name}</span>" for name in NAMES) + "</div>"
    }


def _tiles() -> Mapping[str, str]:
    toned = tiles_html([Tile("1,204", f"tone {tone or 'plain'}", "of 4,800", tone) for tone in _TONES])
    plain = [
        Tile("-", "nothing known"),
        Tile("3", "explained", help="What it means."),
        Tile("12,345,678", _LONG, _LONG),
    ]
    return {"All tones": toned, "Without a note, explained, long": tiles_html(plain), "None": tiles_html([])}


def _messages() -> Mapping[str, str]:
    to = Link("To Data", "/data", "")
    return {
        "Notices": "".join(
            notice_html(f"Tone {tone or 'plain'}: what happened, what to do.", tone=tone) for tone in _TONES
        ),
        "No message": notice_html(""),
        "With ways onwards": guide_html("Nothing to ask yet.", to, Link("To Teachers", "/teachers", "")),
        "Above a page": note_html("Your copy is still there: ", Link("continue with it", "/", ""), "own"),
        "Terms": f"<p>{', '.join(map(explained_html, TERMS))}</p>",
    }


def _empty() -> Mapping[str, str]:
    ways = Link("Import", "/data", ""), Link("Home", "/", "")
    return {
        "With ways onwards": empty_html("No queries yet", "Import a file to begin.", *ways),
        "Without": empty_html("No such project", "It may have been removed or renamed."),
    }


def _verdicts() -> Mapping[str, str]:
    way = Link("To Exports", "/exports", "")
    return {
        "To act on": verdict_html("Ship stage 3", "0.70 with 4.9 tokens, 0.62 over the untrained student.", True, way),
        "Not yet": verdict_html("Nothing worth shipping yet", "n = 30: too few to tell.", False),
        "Against": verdict_html(
            "No", "Half of the pilot failed.", False, inner="<ul><li>change</li></ul>", against=True
        ),
    }


def _cards() -> Mapping[str, str]:
    to = Link("Label", "/label", "")
    badges = " ".join(badge_html(tone or "plain", tone) for tone in ("", "good", "warn", "bad", "accent"))
    return {
        "Cards": f"<div class='cards'>{card_html('A card', '<p>inside</p>', 'a note')}{card_html('Another', '')}</div>",
        "Links": links_html("Ways", [(to, "teachers answer"), (Link("Select", "/select", ""), "what is kept")]),
        "Buttons": f"{button_html(to, primary=True, icon='next')} {button_html(to)}",
        "Of one row": act_html("cancel", "Cancel", "a", "Training, demo") + way_html(to),
        "Badges": badges,
    }


def _tables() -> Mapping[str, str]:
    rows = [
        {
            "run": Opener("first", "1"),
            "page": Link("Train", "/train", ""),
            "loss": Spark([3, 2, 1]),
            "score": 0.7,
            "rows": 1_440,
            "ships": True,
            "state": Raw(badge_html("Failed", "bad"), "Failed"),
            "why": "the device ran out of memory at update 40 of 150",
        },
        {"run": Opener("second", "2"), "loss": Spark([]), "ships": False},
    ]
    return {
        "Every kind of cell": table_html(titled(rows), "a caption"),
        "No rows": table_html([]),
        "No rows, with a word": table_html([], empty="Nothing was scored yet."),
    }


def _listings() -> Mapping[str, str]:
    badges = {
        "Kept": badge_html("Kept", "good"),
        "Rejected": badge_html("Rejected"),
        "Failed": badge_html("Failed", "bad"),
    }
    rows = [
        {"id": str(n), "text": f"query {n}", "state": Raw(badge, state), "pick": n % 2 or None}
        for n, (state, badge) in enumerate(badges.items(), 1)
    ]
    columns = [Column("text", "Query", "text"), Column("state", "State", "state", right=True)]
    shown = {"all": "All", "none": "None kept"}
    full = Listing(rows, columns, View(sort="-text", open="2"), 3, 52, 3, "queries", shown, "Search the queries")
    full = replace(full, picks=[("keep", "Keep"), ("drop", "Drop")], csv=True)
    none = replace(full, rows=[], begin=0, total=0, view=View(search="zebra", show="none"))
    only = Listing(rows, columns, View(sort="state"), 0, 3, 10, "queries", {})
    return {
        "A page of many, sorted, one open, rows to choose": listing_html(full),
        "Nothing matches": listing_html(none),
        "Nothing there yet": listing_html(replace(only, rows=[], total=0, empty="No queries yet.")),
        "All on one page": listing_html(only),
        "Cards in the place of a table": listing_html(full, f"<div class='cards'>{card_html('A card', '')}</div>"),
    }


def _code() -> Mapping[str, str]:
    steps = [["tacit", "label", "sample"], ["tacit", "select", "sample"]]
    return {
        "Code": code_html("tacit label sample"),
        "A command": command_html(["tacit", "train", "sample", "--name", "a b"]),
        "Several": commands_html(steps, "As commands"),
    }


def _texts() -> Mapping[str, str]:
    good = {"teacher": "ann", "error": None, "raw": "Answer: 9"}
    bad = {"teacher": "ben", "error": "unparsable", "raw": "<answer>4 < 5 & 'so'</answer>"}
    return {
        "Differences": marked_html(("ann", "first add, then halve"), ("ben", "first add, then double")),
        "In columns": columns_html([("teacher", "long"), ("student", "short")]),
        "Replies": replies_html([good, bad]),
        "A log": log_html("update 1 loss 2.31"),
        "An empty log": log_html(""),
    }


def _histograms() -> Mapping[str, str]:
    values = [n * n % 97 for n in range(200)]
    title = "student tokens", "Query length", "queries"
    return {
        "Values": histogram_html(values, *title),
        "Some beyond a limit": histogram_html(values, *title, Limit(80, "Context")),
        "None beyond it": histogram_html(values, *title, Limit(2_048, "Context")),
        "All the same": histogram_html([7, 7, 7], *title),
        "No values": histogram_html([], *title),
    }


def _plots() -> Mapping[str, str]:
    dots = [
        ScatterDot(5, 0.7, "student", "#0f7d5d", "student 0.70"),
        ScatterDot(80, 0.9, "teacher", "#9333ea", "teacher 0.90"),
    ]
    axes = "output tokens an answer", "accuracy"
    names, cosines = ["1 ann", "2 ben"], [[1, 0.42], [0.42, 1]]
    unknown = [[1, float("nan")], [float("nan"), 1]]
    return {
        "Dots": scatter_html([*dots, ScatterDot(40, 0.5, "another", "#4350d0")], *axes),
        "No dots": scatter_html([], *axes),
        "A matrix": matrix_html(names, cosines, "Cosine similarity", [0, 1]),
        "A matrix of which nothing is known": matrix_html(names, unknown, "Cosine similarity"),
    }


BASICS: dict[str, Callable[[], Mapping[str, str]]] = {
    "Top bar": _topbar,
    "Rail": _rail,
    "Head of a page": _head,
    "Strip of jobs": _strip,
    "Bars of progress": _bars,
    "Toasts": _toasts,
    "Tour": _tour,
    "Icons": _icons,
    "Tiles": _tiles,
    "Messages": _messages,
    "Empty": _empty,
    "Verdicts": _verdicts,
    "Cards": _cards,
    "Tables": _tables,
    "Listings": _listings,
    "Code": _code,
    "Texts": _texts,
    "Histograms": _histograms,
    "Plots": _plots,
}
"""Parts by title."""
