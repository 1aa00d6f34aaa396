"""Writes every page at 1280 and 390 px, light and dark, to docs/screenshots/.

`make screenshots WORKSPACE=... PROJECT=...` serves the workspace by itself and looks at it with Debian's Chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from app.services import open_services
from app.web.main import PATHS, build_app
from app.web.server import launch_options

PAGES = ("home", *PATHS[1:])
SIZES = ((1280, 900), (390, 844))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
OUT = Path("docs/screenshots")


def main(workspace: Path, project: str) -> None:
    """Take all of them."""
    OUT.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with open_services(workspace) as services, sync_playwright() as driver:
        app = build_app(services)
        options = launch_options("127.0.0.1", 0, None) | {"server_port": None}
        _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **options)
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in PAGES:
            for width, height in SIZES:
                for theme in ("light", "dark"):
                    page = browser.new_page(viewport={"width": width, "height": height})
                    path = "" if name == "home" else name
                    page.goto(f"{url}{path}?__theme={theme}&project={quote(project)}")
                    page.locator(".topbar summary").wait_for(state="attached")
                    if name == "select":
                        open_a_query(page)
                    if name == "compress":
                        page.locator("button.open").nth(2).click()
                        page.locator(".columns").first.wait_for()
                    if name == "playground" and theme == "light":
                        ask(page)
                    page.wait_for_timeout(2500)
                    file = OUT / f"{name}-{width}-{theme}.png"
                    page.screenshot(path=file, full_page=True)
                    page.close()
                    shrink(file)
        browser.close()
        app.close()


def ask(page: Page) -> None:
    """Ask who is chosen, and wait for the last answer."""
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".pane").first.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.pane .facts')].every(x => x.innerText && !x.innerText.includes('...'))",
        timeout=180_000,
    )


def open_a_query(page: Page) -> None:
    """Open a query of which a pair was chosen among three, where there is one."""
    rows = page.locator("tr", has=page.locator("button.open"))
    rows.first.wait_for()
    page.locator("button.open").nth(min(3, rows.count() - 1)).click()
    page.locator(".pair, .js-plotly-plot .heatmaplayer").first.wait_for()


def shrink(file: Path) -> None:
    """Keep 256 colours: a third of the bytes, and nothing a reader would miss."""
    with Image.open(file) as image:
        image.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE).save(file, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
