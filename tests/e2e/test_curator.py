"""A curator goes through many queries and decides by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from app.services import open_services
from engine.selection.settings import dcrs
from tests.app.test_selecting import store
from tests.e2e.conftest import Server, Tab, make_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

QUERIES = 300
AGREED = [("ann", "A"), ("ben", "A"), ("cid", "A")]


@pytest.fixture
def curated(tmp_path: Path) -> Iterator[Server]:
    """A project of three hundred queries, each answered alike by three recorded teachers, of which a pair is kept."""
    server = make_server(tmp_path / "workspace")
    with open_services(server.workspace) as services:
        store(services, [AGREED] * QUERIES)
        services.select.select("p", dcrs(0.6, {"agreement_weighted": 1.0}))
    server.start()
    yield server
    server.kill()


class Curator:
    """Presses keys, and waits for what they should do."""

    def __init__(self, tab: Tab) -> None:
        self.page = tab.page

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def reads(self, number: int) -> None:
        expect(self.page.locator(".asked")).to_contain_text(f"in case {number}?", timeout=20_000)

    def told(self, message: str) -> None:
        expect(self.page.locator(".review .notice", has_text=message)).to_be_visible(timeout=20_000)

    def card(self, kept: bool) -> Locator:
        """The first card of a sample that is kept, or is not."""
        return self.page.locator(".candidate:not(.out)" if kept else ".candidate.out").first

    def choose(self, card: Locator) -> str:
        """Choose a sample by its number; the id of the sample."""
        self.press(str(card.get_attribute("data-number")))
        sample = str(card.get_attribute("data-choose"))
        chosen = self.page.locator(".candidate[aria-checked=true]")
        expect(chosen).to_have_attribute("data-choose", sample)
        return sample


def test_a_curator_decides_by_keyboard_alone(browser: Browser, curated: Server) -> None:
    tab = Tab(browser.new_page(viewport={"width": 1280, "height": 800}), curated.url).listen()
    tab.open("select", "p")
    curator = Curator(tab)
    expect(tab.page.locator(".review .pager")).to_contain_text("1-50 of 300 queries")
    curator.reads(0)
    dropped = curator.choose(curator.card(kept=True))
    curator.press("d")
    curator.told("Dropped by hand: ")
    curator.press("j")
    curator.reads(1)
    kept = curator.choose(curator.card(kept=False))
    curator.press("k")
    curator.told("Kept by hand: ")
    edited = edit(curator)
    curator.press("j")
    curator.reads(3)
    swapped = curator.choose(curator.card(kept=False))
    curator.press("s")
    curator.told("Swapped: kept ")
    curator.press("j")
    curator.reads(4)
    before = tab.page.locator(".candidate[aria-checked=true]").get_attribute("data-choose")
    curator.press("ArrowRight")
    expect(tab.page.locator(".candidate[aria-checked=true]")).not_to_have_attribute("data-choose", str(before))
    curator.press("d")
    curator.told("Dropped by hand: ")
    curator.press("u")
    curator.told("Undone: drop of 1 sample")
    last = go_to_the_next_page(curator)
    assert tab.errors == []
    curated.kill()
    with open_services(curated.workspace) as services:
        decided = services.context.overrules.current(services.projects.get("p").id)
    assert {sample: decided.actions.get(sample) for sample in (dropped, kept, swapped, last)} == {
        dropped: "drop",
        kept: "keep",
        swapped: "keep",
        last: "drop",
    }
    assert len(decided.actions) == 5, "the one that was swapped out too, and what was undone does not count"
    assert {sample: edit.text for sample, edit in decided.edits.items()} == {edited: "Said by hand, jdk and all."}


def edit(curator: Curator) -> str:
    """Rewrite the third query's chosen sample; letters that are keys elsewhere are text in the box."""
    curator.press("j")
    curator.reads(2)
    sample = str(curator.page.locator(".candidate[aria-checked=true]").get_attribute("data-choose"))
    box = curator.page.locator(".rationale textarea")
    expect(box).to_have_value(re.compile("Because"))
    curator.press("e")
    expect(box).to_be_focused()
    curator.press("ControlOrMeta+a")
    curator.page.keyboard.type("Said by hand, jdk and all.")
    curator.press("Shift+Enter")
    curator.told("Edit saved: ")
    curator.press("Escape")
    expect(box).not_to_be_focused()
    return sample


def go_to_the_next_page(curator: Curator) -> str:
    """Walk on from the fifth query over the end of the page, and drop a sample of the first query behind it."""
    for number in range(5, 50):
        curator.press("j")
        curator.reads(number)
    curator.press("j")
    curator.reads(50)
    expect(curator.page.locator(".review .pager")).to_contain_text("51-100 of 300 queries")
    curator.press("j")
    curator.reads(51)
    curator.press("p")
    curator.reads(50)
    sample = curator.choose(curator.card(kept=True))
    curator.press("d")
    curator.told("Dropped by hand: ")
    return sample


@pytest.mark.timeout(900)
def test_three_hundred_queries_are_triaged_by_keyboard(browser: Browser, curated: Server) -> None:
    tab = Tab(browser.new_page(viewport={"width": 1280, "height": 800}), curated.url).listen()
    tab.open("select", "p")
    curator, dropped = Curator(tab), set()
    for number in range(QUERIES):
        curator.reads(number)
        if number % 10 == 3:
            dropped.add(curator.choose(curator.card(kept=True)))
            curator.press("d")
            curator.told("Dropped by hand: ")
        if number % 10 == 7:
            curator.press("x")
        curator.press("j")
    expect(tab.page.locator(".review .bulk")).to_contain_text("30 chosen")
    tab.page.get_by_role("button", name="Drop samples").focus()
    curator.press("Enter")
    tab.page.locator(".toast", has_text="Dropped 90 samples of 30 queries by hand").wait_for()
    assert tab.errors == []
    curated.kill()
    with open_services(curated.workspace) as services:
        decided = services.context.overrules.current(services.projects.get("p").id)
    assert len(dropped) == 30 and {decided.actions.get(sample) for sample in dropped} == {"drop"}
    assert len(decided.actions) == 30 + 90
