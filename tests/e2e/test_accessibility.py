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
FIRST = {
    "": (".result .headline", "a:has-text('Open the finished demo')"),
    "overview": (".verdict h2", ".onwards .primary"),
    "data": (".tile >> nth=0", "[aria-label='Search the queries']"),
    "teachers": (".listing tbody tr >> nth=0", "button:text-is('Add teacher')"),
    "label": (".tile:visible >> nth=0", "button:text-is('Start labelling')"),
    "select": (".tile >> nth=0", "button:text-is('Select')"),
    "compress": (".card.reading .query", "button:text-is('Approve and next')"),
    "train": (".listing tbody tr >> nth=0", "button:text-is('Start training')"),
    "evaluate": (".verdict h2", "button:text-is('Download report')"),
    "study": (".empty, .listing", "a:has-text('New study')"),
    "save": (".verdict h2", "button:text-is('Export policy')"),
    "playground": ("textarea >> nth=0", "button:text-is('Ask')"),
    "exports": (".artefact .title >> nth=0", ".artefact .button.primary >> nth=0"),
    "jobs": (".tile >> nth=0", ".listing tbody tr >> nth=0"),
}
"""What a page answers and what a person does there, by page: both stand in the first screenful of a small laptop."""


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


@pytest.mark.parametrize("path", PATHS)
def test_the_answer_and_the_first_action_stand_in_the_first_screenful(
    browser: Browser, demo: Server, path: str
) -> None:
    page = show(browser, demo, path, "light", 1280)
    low = {}
    for part in FIRST[path]:
        found = page.locator(f"{part} >> visible=true").first
        found.wait_for()
        box = found.bounding_box()
        low[part] = 10_000.0 if box is None else box["y"] + box["height"]
    page.close()
    assert {part: at for part, at in low.items() if at > 800} == {}
