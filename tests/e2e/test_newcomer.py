"""A newcomer's first minutes: what this is, what it came to, where a project stands, and the tour on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from app.web.parts.tour import STOPS
from tests.e2e.conftest import Server, Tab, make_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

DESK, PHONE = (1280, 800), (390, 844)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_server(tmp_path_factory.mktemp("demo") / "workspace")
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_server(tmp_path_factory.mktemp("hosted") / "workspace", "--demo")
    made.start()
    yield made
    made.kill()


def open_tab(browser: Browser, server: Server, size: tuple[int, int]) -> Tab:
    width, height = size
    return Tab(browser.new_page(viewport={"width": width, "height": height}), server.url).listen()


def at_first_sight(tab: Tab, part: Locator, size: tuple[int, int]) -> None:
    """The part is wholly in the first screenful."""
    part.wait_for()
    box = part.bounding_box()
    assert box is not None and box["y"] + box["height"] <= size[1]
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= size[0]


def go_to(tab: Tab, page: str) -> None:
    tab.page.locator(".rail a[aria-current=page]", has_text=page).wait_for(state="attached")
    expect(tab.page.locator("h1")).to_have_text(page)


def test_three_minutes_of_a_newcomer(browser: Browser, demo: Server) -> None:
    tab = open_tab(browser, demo, DESK)
    tab.open("")
    headline = tab.page.locator(".result .headline")
    at_first_sight(tab, headline, DESK)
    expect(headline).to_contain_text("the best teacher")
    door = tab.page.get_by_role("link", name="Open the finished demo")
    at_first_sight(tab, door, DESK)
    with tab.leave():
        door.click()
        go_to(tab, "Overview")
    verdict = tab.page.locator(".verdict h2")
    at_first_sight(tab, verdict, DESK)
    at_first_sight(tab, tab.page.locator(".onwards .primary"), DESK)
    ship = verdict.inner_text().removeprefix("Ship ")
    assert ship and tab.page.locator(".funnel a").count() >= 6
    with tab.leave():
        tab.page.get_by_role("link", name="See the evidence").click()
        go_to(tab, "Evaluate")
    tab.see(ship)
    with tab.leave():
        tab.page.locator(".rail a", has_text="Playground").click()
        go_to(tab, "Playground")
    assert tab.errors == []


def test_a_project_is_made_duplicated_archived_and_restored(browser: Browser, demo: Server) -> None:
    tab = open_tab(browser, demo, DESK)
    tab.open("")
    card = tab.page.locator(".project")
    card.filter(has_text="demo").first.wait_for()
    act(tab, "demo", "Duplicate")
    expect(tab.field("Name of the copy")).to_have_value("demo copy")
    tab.fill("Name of the copy", "twin")
    tab.page.locator(".act").get_by_role("button", name="Duplicate", exact=True).click()
    tab.see("twin has the same queries")
    act(tab, "twin", "Archive")
    tab.see("twin is archived")
    expect(card.filter(has_text="twin")).to_have_count(0)
    tab.press("Archived")
    card.filter(has_text="twin").wait_for()
    act(tab, "twin", "Restore")
    tab.see("twin is back in the list")
    tab.page.go_back()
    card.filter(has_text="twin").wait_for()
    tab.press("Start with your own queries")
    name = tab.field("Project name")
    expect(name).to_be_focused()
    name.fill("tickets")
    with tab.leave():
        name.press("Enter")
        tab.page.wait_for_url("**/data?project=tickets")
    tab.page.locator(".topbar summary", has_text="tickets").wait_for()
    assert tab.errors == []


def act(tab: Tab, project: str, action: str) -> None:
    """Choose an action from the menu of a project's card."""
    card = tab.page.locator(".project", has=tab.page.get_by_role("link", name=project, exact=True))
    card.locator("summary").click()
    card.get_by_role("button", name=action, exact=True).click()


def test_a_visitor_takes_the_tour_on_a_phone_by_keyboard(browser: Browser, hosted: Server) -> None:
    tab = open_tab(browser, hosted, PHONE)
    tab.open("")
    expect(tab.page.locator(".result .headline")).to_contain_text("the best teacher")
    tour = tab.page.get_by_role("link", name="Take the tour")
    at_first_sight(tab, tour, PHONE)
    expect(tab.page.locator(".pane", has_text="Student")).to_contain_text("Answer:")
    follow(tab, tour)
    for number, stop in enumerate(STOPS, 1):
        bar = tab.page.get_by_role("navigation", name=f"Tour, stop {number} of {len(STOPS)}")
        bar.wait_for()
        expect(tab.page.locator("h1")).to_have_text(stop.page)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        if number == 2:
            follow(tab, bar.get_by_role("link", name="Back"))
            tab.page.get_by_role("navigation", name="Tour, stop 1 of").wait_for()
            with tab.leave():
                tab.page.go_back()
            bar.wait_for()
        follow(tab, bar.get_by_role("link", name="Finish" if number == len(STOPS) else "Next", exact=True))
    expect(tab.page.locator("h1")).to_have_text("Welcome")
    follow(tab, tab.page.get_by_role("link", name="Take the tour"))
    follow(tab, tab.page.get_by_role("link", name="Skip the tour"))
    tab.page.locator(".result").wait_for()
    assert tab.errors == []


def follow(tab: Tab, link: Locator) -> None:
    """Reach a link by keyboard, and press it."""
    link.focus()
    with tab.leave():
        link.press("Enter")
        tab.page.wait_for_load_state("domcontentloaded")
