"""The first painted page of the studio against that of an empty Blocks, in the same Chromium, in one run.

`python -m tests.bench_paint` adds a row a page: seconds to the first contentful paint (median of rounds taken in
turn), and what the browser was sent for it.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path

import gradio as gr
from playwright.sync_api import Browser, sync_playwright

from app.services import open_services
from app.web.main import build_app
from app.web.server import launch_options
from tests.bench_table import Part

ROUNDS = 7
_PAINT = """() => new Promise((resolve) => {
  const tell = (list) => list.getEntriesByName('first-contentful-paint').forEach((entry) => resolve(entry.startTime));
  new PerformanceObserver(tell).observe({type: 'paint', buffered: true});
})"""


def main() -> None:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, open_services(Path(folder)) as services, sync_playwright() as driver:
        with gr.Blocks() as empty:
            gr.Markdown("nothing")
        _, plain, _ = empty.launch(prevent_thread_lock=True, quiet=True, run_history=False)
        app = build_app(services)
        _, studio, _ = app.launch(
            prevent_thread_lock=True, quiet=True, **(launch_options("127.0.0.1", 0, None) | {"server_port": None})
        )
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        pages = {"empty Blocks": plain, "studio, projects": studio, "studio, select": f"{studio}select"}
        times: dict[str, list[float]] = {name: [] for name in pages}
        for _ in range(ROUNDS):
            for name, url in pages.items():
                times[name].append(first_paint(browser, url))
        browser.close()
        app.close()
        empty.close()
    base = statistics.median(times["empty Blocks"])
    part = Part("First contentful paint")
    for name, found in times.items():
        middle = statistics.median(found)
        part.add(name, f"{middle / 1000:.3f} s", note=f"{middle / base:.2f} of an empty Blocks")


def first_paint(browser: Browser, url: str) -> float:
    """Milliseconds, with an empty cache."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    found = float(page.evaluate(_PAINT))
    context.close()
    return found


if __name__ == "__main__":
    main()
