"""Writes every page at 1280 and 390 px, light and dark, to docs/screenshots/, and its states: empty, running, failed.

`make screenshots WORKSPACE=... PROJECT=...` serves a copy of the workspace and looks at it with Debian's Chromium. What
runs and what fails does so for real: a smoke test of training on the project, and a teacher behind a closed port.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.web.main import PATHS, build_app
from app.web.server import launch_options
from engine.config import ProjectConfig
from engine.jobs.processes import find_process
from engine.plans.order import PlanOrder
from engine.values import Query, make_query
from storage.runs import Run

SIZES = ((1280, 900), (390, 844))
THEMES = ("light", "dark")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
OUT = Path("docs/screenshots")
EMPTY, FAILED = "nothing yet", "a closed port"
IN_STATE = {EMPTY: ("data", "teachers", "label", "select", "train", "evaluate", "save"), FAILED: ("label", "jobs")}
RUNNING = ("label", "train", "jobs")
_PATIENCE_S = 180
_SETTLED_MS = 4000


@dataclass(frozen=True)
class Camera:
    """Takes pictures of pages of a served studio."""

    browser: Browser
    url: str

    def shoot(self, path: str, project: str, name: str, act: Callable[[Page], None] | None = None) -> None:
        """A page in four looks, each to a file that begins with `name`; `act` does something on it before."""
        for width, height in SIZES:
            for theme in THEMES:
                page = self.browser.new_page(viewport={"width": width, "height": height})
                page.goto(f"{self.url}{path}?__theme={theme}&project={quote(project)}")
                page.locator(".topbar summary").wait_for(state="attached")
                page.wait_for_timeout(_SETTLED_MS)
                if act is not None and theme == "light":
                    act(page)
                file = OUT / f"{name}-{width}-{theme}.png"
                page.screenshot(path=file, full_page=True)
                page.close()
                shrink(file)


def main(workspace: Path, project: str) -> None:
    """Take all of them."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(workspace, Path(folder) / "workspace"))
        with open_services(copy) as services, sync_playwright() as driver:
            app = build_app(services)
            options = launch_options("127.0.0.1", 0, None) | {"server_port": None}
            _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **options)
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            take_all(Camera(browser, url), services, project)
            browser.close()
            app.close()


def take_all(camera: Camera, services: Services, project: str) -> None:
    """Full pages first, then those of a project in each other state."""
    for path in PATHS:
        camera.shoot(path, project, path or "home", ask if path == "playground" else None)
    services.data.create_project(ProjectConfig(name=EMPTY, task="custom"))
    fail(services)
    for name, paths in IN_STATE.items():
        for path in paths:
            camera.shoot(path, name, f"{path}-{'empty' if name == EMPTY else 'failed'}")
    run = services.run.start(project, services.plan.make(project, PlanOrder(preset="smoke", plan="twt")))
    wait(lambda: any(job.of for job in services.standing.running()))
    for path in RUNNING:
        camera.shoot(path, project, f"{path}-running")
    kill(services, run)
    camera.shoot("train", project, "train-failed")


def fail(services: Services) -> None:
    """A project whose teacher can't be reached, and a labelling of it that says so."""
    services.data.create_project(ProjectConfig(name=FAILED, task="custom"))
    queries: list[Query] = [make_query(f"What is {n} plus {n}?") for n in range(1, 9)]
    services.data.add_queries(services.projects.get(FAILED).id, queries, {})
    given = {"name": "unreachable", "provider": "openai", "model": "m", "endpoint": "http://127.0.0.1:9/v1"}
    services.teachers.add(FAILED, given)
    services.label.start(FAILED, LabelOrder(("unreachable",)))
    wait(lambda: not services.standing.running())


def kill(services: Services, run: Run) -> None:
    """End the worker of a run as a machine does that runs out of memory."""
    jobs = [job for job in services.context.jobs.unfinished_jobs() if job.run_id == run.id]
    for process in filter(None, (find_process(job.handle) for job in jobs if job.handle)):
        process.kill()
    wait(lambda: not services.standing.running())


def wait(done: Callable[[], bool]) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: if it never is.
    """
    end = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("nothing happened")
        time.sleep(0.5)


def ask(page: Page) -> None:
    """Ask who is chosen, and wait for the last answer: Stop is there as long as anybody writes."""
    page.get_by_role("button", name="Ask", exact=True).click()
    stop = page.get_by_role("button", name="Stop", exact=True)
    stop.wait_for()
    stop.wait_for(state="hidden", timeout=1000 * _PATIENCE_S)


def shrink(file: Path) -> None:
    """Keep 256 colours: a third of the bytes, and nothing a reader would miss."""
    with Image.open(file) as image:
        image.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE).save(file, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
