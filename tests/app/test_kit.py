"""The page Kit shows every part, in all states that have a name of their own."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, get_args

import pytest

from app.services import open_services
from app.usecases.exports.artefacts import State as ArtefactState
from app.usecases.labelling.answers import say_failure
from app.usecases.projects.next_steps import Status
from app.web import parts
from app.web.main import KIT, build_app
from app.web.pages.kit import draw_parts
from app.web.parts.icons import NAMES
from app.web.parts.pipeline import State as StepState
from engine.evaluation.go_ahead import PilotVerdict
from engine.values import JobStatus

NOT_CLOSED = frozenset({"br", "hr", "img", "input", "path", "polyline"})
"""Elements that hold nothing, and so need no end."""
OPTIONAL: dict[str, str] = {}
"""Parts that can't be shown, each with the reason."""


def list_parts() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function of the parts that draws something, by module and name."""
    for place in pkgutil.iter_modules(parts.__path__):
        module = importlib.import_module(f"{parts.__name__}.{place.name}")
        for name, work in vars(module).items():
            is_own = getattr(work, "__module__", "") == module.__name__ and not name.startswith("_")
            if is_own and isinstance(getattr(work, "__code__", None), CodeType) and _draws(name):
                yield f"{place.name}.{name}", work


def _draws(name: str) -> bool:
    return name.endswith(("_html", "_tiles")) or "_html_" in name


class Reader(HTMLParser):
    """Follows which elements are open; what is closed must be what was opened last."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wrong: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if len(names) != len(set(names)) or any(not re.fullmatch(r"[a-zA-Z][\w:-]*", name) for name in names):
            self.wrong.append(f"{self.getpos()}: <{tag} {' '.join(names)}>")
        if tag not in NOT_CLOSED:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in NOT_CLOSED:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        last = self.open.pop() if self.open else "nothing"
        if last != tag:
            self.wrong.append(f"{self.getpos()}: </{tag}> closes {last}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if "<" in data or ">" in data:
            self.wrong.append(f"{self.getpos()}: {data[:60]!r} is not escaped")

    def handle_entityref(self, name: str) -> None:
        self.words.append(f"&{name};")


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return draw_parts()


def test_every_part_is_drawn() -> None:
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, value: Any) -> None:
        if event == "call":
            called.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        draw_parts()
    finally:
        sys.setprofile(before)
    there = dict(list_parts())
    assert len(there) > 60, "the parts are not where this test looks"
    assert [name for name, work in there.items() if work.__code__ not in called and name not in OPTIONAL] == []
    assert set(OPTIONAL) <= set(there), "an exception for a part that is gone"


def test_what_is_drawn_is_whole_html(drawn: dict[str, str]) -> None:
    readers = {title: read(html) for title, html in drawn.items()}
    assert {title: reader.wrong for title, reader in readers.items() if reader.wrong} == {}
    assert {title: reader.open for title, reader in readers.items() if reader.open} == {}
    ids = [name for reader in readers.values() for name in reader.ids]
    assert len(ids) == len(set(ids)) and not {"page", "rail-fold"} & set(ids), "the frame of the page has these itself"


@pytest.mark.parametrize(
    ("html", "is_whole"),
    [("<p>4 &lt; 5</p>", True), ("<p>4 > 5</p>", False), ("<p><b>4</p></b>", False), ("<p a='it's'></p>", False)],
)
def test_the_reader_sees_what_is_not_whole(html: str, is_whole: bool) -> None:
    assert (not read(html).wrong) is is_whole


def test_every_state_that_has_a_name_is_shown(drawn: dict[str, str]) -> None:
    over = [status for status in JobStatus if status.over]
    words = {
        "Artefacts": ["not available" if state == "missing" else state for state in get_args(ArtefactState)],
        "Projects": [state.capitalize() for state in get_args(Status)],
        "Pilots": [f"Pilot: {verdict}" for verdict in PilotVerdict],
        "Plans and funnels": [f"aria-label='{state}'" for state in get_args(StepState) if state],
        "Labelling": [f"Ended: {status}" for status in over] + [say_failure("timeout")],
        "Icons": [f"</svg>{name}</span>" for name in NAMES],
        "Runs": ["Queued", "Running", "Waiting for review", "Finished", "Failed", "Cancelled"],
        "Gateway": ["Starting.", "Open</span>", "The gateway ended: ", "export TACIT_KEY"],
        "Rail": [f"state {state}'" for state in ("todo", "running", "done", "stale")],
        "Strip of jobs": ["queued", "waits 40 s", "role='alert'"],
        "Listings": ["Nothing here matches.", "aria-sort='ascending'", "aria-sort='descending'", "data-pick="],
        "Teachers": ["Key set", "Key missing", "Tested", "Not tested", "Ready", "No teachers yet."],
        "Answers": ["Right</span>", "Wrong</span>", "writing", "waiting", "It wrote nothing.", "rate_limit"],
        "Meters": ["Students agree with the last rung less often than expected", "no request yet"],
        "Toasts": ["Undo"],
        "Texts": ["&lt;answer&gt;4 &lt; 5 &amp;"],
        "What was imported": ["1 of those there already stands in the other split and stays there."],
    }
    lacking = {title: [word for word in states if word not in drawn[title]] for title, states in words.items()}
    assert {title: states for title, states in lacking.items() if states} == {}


def test_the_notices_of_a_job_that_ended_say_so(drawn: dict[str, str]) -> None:
    said = " ".join(read(drawn["Labelling"]).words)
    assert said.count("The last labelling") == sum(status.over for status in JobStatus)


def test_a_part_that_draws_nothing_says_so(drawn: dict[str, str]) -> None:
    assert "draws nothing" in drawn["Tiles"]
    assert not re.search(r"<h3 class='kit-state'[^>]*>[^<]*</h3>(<h3 class='kit-state' |$)", "".join(drawn.values()))


def test_the_page_is_there_only_where_it_is_asked_for(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_services(workspace) as services:
        assert "kit" not in {page[0] for page in build_app(services).pages}
        monkeypatch.setenv(KIT, "1")
        app = build_app(services)
        try:
            _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, run_history=False, server_name="127.0.0.1")
            body = urllib.request.urlopen(f"{url}kit", timeout=30).read().decode()
        finally:
            app.close()
    assert all(escape(title) in body for title in draw_parts())
