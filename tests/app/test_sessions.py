"""Sessions cost little, keep what their page needs, and are let go."""

from __future__ import annotations

import datetime
import json
import time
import tracemalloc
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from app.web.sessions import KEPT_S, MOST_SESSIONS, LeanHolder, open_lean_sessions

LONG = "x" * 20_000


class Clock:
    now = datetime.datetime(2026, 1, 1)

    def __call__(self) -> datetime.datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += datetime.timedelta(seconds=seconds)


def build() -> gr.Blocks:
    """A page that changes what it shows, offers other choices, remembers, and reads what was chosen."""
    with gr.Blocks() as app:
        shown, choice, held = gr.HTML(), gr.Dropdown(["a"], label="choice"), gr.State(0)
        for _ in range(100):
            gr.Accordion()
        fold, told = gr.Accordion(), gr.Textbox()
        opened = gr.Button()
        opened.click(
            lambda n: [LONG, gr.Dropdown(choices=["b"]), gr.Accordion(open=False), n + 1],
            [held],
            [shown, choice, fold, held],
        )
        gr.Button().click(lambda chosen, n: f"{chosen} {n}", [choice, held], [told])
    return app


class Site:
    def __init__(self) -> None:
        self.app, self.clock = build(), Clock()
        _, self.url, _ = self.app.launch(prevent_thread_lock=True, quiet=True)
        open_lean_sessions(self.app, now=self.clock)
        self.holder: LeanHolder = self.app.app.state_holder
        self.queue = self.app._queue

    def ask(self, number: int, *values: Any, session: str = "", hears: bool = True) -> Any:
        """What a handler gives out; `hears`: whoever asked waits for it."""
        session = session or uuid.uuid4().hex
        data = json.dumps({"data": list(values), "fn_index": number, "session_hash": session}).encode()
        joined = urllib.request.Request(f"{self.url}gradio_api/queue/join", data, {"Content-Type": "application/json"})
        urllib.request.urlopen(joined, timeout=10).read()
        if not hears:
            return None
        with urllib.request.urlopen(f"{self.url}gradio_api/queue/data?session_hash={session}", timeout=10) as stream:
            for line in stream:
                if line.startswith(b"data:") and (message := json.loads(line[5:]))["msg"] == "process_completed":
                    return message
        raise AssertionError("nothing came")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.app.close()


def test_a_page_goes_on_as_it_was_and_others_are_as_they_were(site: Site) -> None:
    first = site.ask(0, None, session="mine")["output"]["data"]
    assert first[0] == LONG and first[1]["choices"] == [["b", "b"]] and first[2]["open"] is False
    site.clock.go_on(KEPT_S - 10)
    assert site.ask(1, "b", None, session="mine")["output"]["data"] == ["b 1"]
    told = site.ask(1, "b", None, session="other")
    assert not told["success"] and "not in the list of choices" in told["output"]["error"]
    assert site.ask(1, "a", None, session="other")["output"]["data"] == ["a 0"]


def test_a_session_holds_what_is_read_again_and_nothing_else(site: Site) -> None:
    site.ask(0, None, session="lean")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(20):
            site.ask(0, None, session=f"lean-{number}")
        site.clock.go_on(61)
        site.ask(1, "a", None)
        each = (tracemalloc.get_traced_memory()[0] - before) / 20
    finally:
        tracemalloc.stop()
    changed = site.holder.session_data["lean"].blocks_config.blocks.maps[0]
    assert [type(part) for part in changed.values()] == [gr.Dropdown]
    assert each < 15_000, "it was over 60 kB for this page, and twice that for one of the studio's"


@pytest.mark.parametrize("hears", [True, False])
def test_what_nobody_comes_back_to_is_let_go(site: Site, hears: bool) -> None:
    for _ in range(10):
        site.ask(0, None, hears=hears)
    end = time.monotonic() + 10
    while site.holder._working():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert len(site.queue.pending_messages_per_session) >= 10
    site.clock.go_on(61)
    site.ask(1, "a", None)
    assert len(site.queue.pending_messages_per_session) == len(site.queue.pending_event_ids_session) == 1
    assert len(site.holder.session_data) > 10, "a tab that is open goes on"
    site.clock.go_on(KEPT_S + 1)
    site.ask(1, "a", None)
    assert len(site.holder.session_data) == len(site.holder.time_last_used) == 1


def test_there_are_never_too_many(site: Site) -> None:
    site.holder.capacity = 5
    for _ in range(12):
        site.ask(1, "a", None)
    site.holder.capacity = MOST_SESSIONS
    assert len(site.holder.session_data) == len(site.holder.time_last_used) == 5
    assert len(site.queue.pending_messages_per_session) <= 6
