"""A person logs in: after wrong tries told why it has to wait, then on the page that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Server, make_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_server(tmp_path_factory.mktemp("locked") / "workspace", "--no-demo", "--auth", "ann:two:three")
    made.start()
    yield made
    made.kill()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_person_mistypes_waits_and_is_let_in(browser: Browser, locked: Server, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(f"{locked.url}/jobs")

    def log_in(password: str) -> None:
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()

    for _ in range(5):
        log_in("guess")
        expect(page.get_by_role("alert")).to_contain_text("Wrong name or password.")
    expect(page.get_by_role("alert")).to_contain_text("5 wrong logins in a row came from your address: wait 1 second")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.wait_for_timeout(1100)
    log_in("two:three")
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs and spend")
    assert page.url == f"{locked.url}/jobs"
    context.close()
