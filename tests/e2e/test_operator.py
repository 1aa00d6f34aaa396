"""An operator's day: three runs, of which one fails and is resumed, and a notice when the last one ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.web.main import build_app
from app.web.server import launch_lean, launch_options
from engine.config import ProjectConfig
from engine.selection.settings import dcrs
from engine.values import Split, make_query
from tests.e2e.conftest import Tab
from tests.fakes.student_worker import StudentBackend

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

_TOLD = """window.told = [];
window.Notification = class { constructor(title) { window.told.push(title); } };
window.Notification.permission = 'granted';
window.Notification.requestPermission = async () => 'granted';
document.hasFocus = () => window.looking;
window.looking = true;"""
"""A browser that was let tell, and notes what it would have told somebody who looks elsewhere."""


_SLOW = "import subprocess, sys, time; time.sleep(5); sys.exit(subprocess.call(sys.argv[1:]))"
"""A job that takes longer than a page waits before it looks again."""


@dataclass
class Studio:
    url: str
    services: Services


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A selected project with held-out queries, served from this process; students are trained by a stand-in."""
    with open_services(tmp_path / "workspace", StudentBackend()) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        train, held = make_puzzles(FAST)
        queries = [make_query(p.text, kind=p.kind) for p in train[:12]]
        queries += [make_query(p.text, kind=p.kind, split=Split.HELDOUT) for p in held[:4]]
        services.data.add_queries(project.id, queries, {make_query(p.text).id: p.answer for p in held[:4]})
        services.label.add_scripted_teachers(project.id)
        services.context.wait(services.label.start("p", LabelOrder()).id)
        services.select.select("p", dcrs(threshold=0.5))
        app = build_app(services)
        url = launch_lean(app, launch_options("127.0.0.1", 0, None) | {"server_port": None})
        yield Studio(url.rstrip("/"), services)
        app.close()


def start(tab: Tab, name: str) -> None:
    tab.fill("Name of the run", name)
    tab.press("Start training")
    tab.see(f"{name} is queued")


def stands(tab: Tab, name: str, how: str) -> None:
    row = tab.page.locator(".listing tbody tr", has=tab.page.get_by_text(name, exact=True))
    expect(row).to_contain_text(how, timeout=240_000)


def test_three_runs_one_fails_and_is_resumed_and_the_end_is_told(
    browser: Browser, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = Tab(browser.new_page(viewport={"width": 1280, "height": 900}), studio.url).listen()
    tab.page.add_init_script(_TOLD)
    tab.open("train", "p")
    tab.see("No run yet")
    tab.choose("Plan", "Standard KD")
    tab.choose("Preset", "Smoke test (4 updates a stage)")
    start(tab, "as before")
    stands(tab, "as before", "Finished")
    with monkeypatch.context() as broken:
        broken.setattr(StudentBackend, "command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
        start(tab, "a wider adapter")
        stands(tab, "a wider adapter", "Failed")
    tab.page.locator(".listing tbody tr", has_text="a wider adapter").click()
    tab.page.locator(".notice.bad[role=alert]").first.wait_for()
    tab.page.locator(".pipeline li.failed").first.wait_for()
    tab.press("Resume")
    tab.see("a wider adapter resumes where it stopped")
    stands(tab, "a wider adapter", "Finished")
    expect(tab.page.locator(".pipeline li.failed")).to_have_count(0)
    quick = StudentBackend.command

    def slow(*given: Any) -> list[str]:
        words = quick(*given)
        return [sys.executable, "-c", _SLOW, *words] if "tests.fakes.student_worker" in words else words

    monkeypatch.setattr(StudentBackend, "command", slow)
    tab.page.evaluate("window.looking = false")
    start(tab, "overnight")
    stands(tab, "overnight", "Finished")
    expect(tab.page).to_have_title(re.compile("^Ended: (Training|Scoring) · Tacit$"), timeout=30_000)
    assert tab.page.evaluate("window.told")[0] in ("Ended: Training", "Ended: Scoring"), "each job of the run that ends"
    tab.page.evaluate("window.looking = true; window.dispatchEvent(new Event('focus'))")
    expect(tab.page).to_have_title("Train · Tacit")
    with tab.leave():
        tab.page.locator(".rail a", has_text="Jobs and spend").click()
        tab.page.locator(".rail a[aria-current=page]", has_text="Jobs and spend").wait_for()
    tab.see("Total spend")
    assert tab.errors == []
