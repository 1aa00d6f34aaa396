"""Lists by keyboard and mouse: rows chosen and decided on at once, the way back, a cell copied, all rows as a file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from app.hosted_demo.shipped_project import NAME
from tests.e2e.conftest import Server, Tab, make_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_server(tmp_path_factory.mktemp("lists") / "workspace")
    made.start()
    yield made
    made.kill()


def open_tab(browser: Browser, server: Server) -> Tab:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    return Tab(context.new_page(), server.url).listen()


def clipboard(tab: Tab) -> str:
    return str(tab.page.evaluate("navigator.clipboard.readText()"))


def save_csv(tab: Tab) -> list[list[str]]:
    with tab.page.expect_download() as download:
        tab.press("Download CSV")
    with download.value.path().open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_chosen_queries_are_dropped_by_keyboard_and_one_click_takes_it_back(browser: Browser, demo: Server) -> None:
    tab = open_tab(browser, demo)
    tab.open("select", NAME)
    kept = tab.page.locator(".tile", has_text="Samples kept").locator(".value")
    expect(kept).to_have_text("566")
    press, bar = tab.page.keyboard.press, tab.page.locator(".review .bulk")
    expect(tab.page.locator(".review tr.current")).to_have_count(1)
    press("x")
    expect(bar).to_contain_text("1 chosen")
    for _ in range(3):
        press("j")
    press("Shift+X")
    expect(bar).to_contain_text("4 chosen")
    tab.page.get_by_role("button", name="Next", exact=True).click()
    tab.page.locator(".review .pager", has_text="51-").wait_for()
    expect(bar).to_contain_text("4 chosen")
    boxes = tab.page.locator(".review [data-pick]")
    boxes.nth(2).click()
    boxes.nth(4).click(modifiers=["Shift"])
    expect(bar).to_contain_text("7 chosen")
    tab.press("Drop samples")
    toast = tab.page.locator(".toast", has_text=re.compile(r"Dropped \d+ samples of 7 queries by hand"))
    toast.wait_for()
    expect(bar).to_be_hidden()
    expect(kept).not_to_have_text("566")
    toast.get_by_role("button", name="Undo").click()
    tab.see("Undone: drop of")
    expect(kept).to_have_text("566")
    boxes.first.click()
    tab.page.locator(".review .chip", has_text="Nothing kept").click()
    expect(bar).to_be_hidden()
    assert tab.errors == []


def test_chosen_rationales_are_approved_at_once(browser: Browser, demo: Server) -> None:
    tab = open_tab(browser, demo)
    tab.open("compress", NAME)
    approved = tab.page.locator(".listing td", has_text=re.compile("Approved$"))
    tab.page.locator(".listing tr.current").wait_for()
    expect(approved).to_have_count(0)
    tab.page.get_by_label("Choose all rows of this page").click()
    expect(tab.page.locator(".bulk")).to_contain_text("25 chosen")
    tab.page.locator(".bulk").get_by_role("button", name="Approve").click()
    expect(approved).to_have_count(25)
    tab.page.locator(".toast", has_text="Approved 25 rationales").get_by_role("button", name="Undo").click()
    expect(approved).to_have_count(0)
    assert tab.errors == []


def test_a_cell_is_copied_and_a_list_is_taken_along(browser: Browser, demo: Server) -> None:
    tab = open_tab(browser, demo)
    tab.open("data", NAME)
    said = tab.page.locator(".card.query .said")
    said.wait_for()
    tab.page.keyboard.press("j")
    tab.page.wait_for_url("**open=*")
    tab.page.keyboard.press("c")
    expect(tab.page.locator(".copy-cell")).to_have_text("Copied")
    expect(said).to_have_text(clipboard(tab))
    row = tab.page.locator(".listing tbody tr").nth(3)
    row.locator("td").nth(2).hover()
    row.get_by_role("button", name="Copy this cell").click()
    expect(tab.page.locator(".copy-cell")).to_have_text("Copied")
    assert clipboard(tab) == "To distill from"
    tab.page.locator(".chip", has_text="Held out").click()
    tab.page.locator(".pager", has_text="of 1,002").wait_for()
    head, *rows = save_csv(tab)
    assert head[2:] == ["question", "choices", "kind", "split", "gold label"] and len(rows) == 1002
    assert {row[5] for row in rows} == {"heldout"}
    tab.open("evaluate", NAME)
    tab.page.locator(".pager", has_text="queries they differ on").wait_for()
    total = tab.page.locator(".pager").first.inner_text()
    assert f"of {len(save_csv(tab)) - 1} " in total
    tab.open("train", NAME)
    assert save_csv(tab)[1][3] == "finished"
    tab.open("jobs", NAME)
    assert save_csv(tab)[0][0] == "job id"
    assert tab.errors == []
