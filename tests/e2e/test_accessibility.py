"""Every page as people see it who can't use a mouse, a wide screen or fine contrast: axe-core, and what fits where."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from app.hosted_demo.shipped_project import NAME
from app.web.main import PATHS
from tests.e2e.conftest import Server, make_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SERIOUS = ("serious", "critical")
PRIMARY = {
    "data": "Search the queries",
    "select": "Select",
    "train": "Start training",
    "label": "Start labelling",
    "playground": "Ask",
}
"""What a person comes for, by page: a button's name or a search field's."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_server(tmp_path_factory.mktemp("seen") / "workspace")
    made.start()
    yield made
    made.kill()


def show(browser: Browser, demo: Server, path: str, theme: str, width: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(f"{demo.url}/{path}?project={NAME}&__theme={theme}")
    page.locator(".topbar summary", has_text=NAME).wait_for(state="attached")
    page.wait_for_timeout(2000)
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing_serious(browser: Browser, demo: Server, path: str, theme: str) -> None:
    page = show(browser, demo, path, theme, 1280)
    found = Axe().run(page).response["violations"]
    said = [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:160]} and {len(one['nodes']) - 1} more"
        for one in found
        if one["impact"] in SERIOUS
    ]
    page.close()
    assert said == []


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_wider_than_a_phone_and_there_is_one_heading(browser: Browser, demo: Server, path: str) -> None:
    page = show(browser, demo, path, "light", 390)
    wide, heads, title = page.evaluate(
        "[document.documentElement.scrollWidth - window.innerWidth, document.querySelectorAll('h1').length, "
        "document.title]"
    )
    page.close()
    assert (wide, heads) == (0, 1) and title.endswith("· Tacit") and len(title) > len("· Tacit") + 2


@pytest.mark.parametrize("path", PRIMARY)
def test_what_a_page_is_for_stands_in_the_first_screenful(browser: Browser, demo: Server, path: str) -> None:
    page = show(browser, demo, path, "light", 1280)
    named = page.get_by_role("button", name=PRIMARY[path], exact=True)
    part = named if path != "data" else page.get_by_label(PRIMARY[path])
    box = part.first.bounding_box()
    page.close()
    assert box is not None and box["y"] + box["height"] <= 800
