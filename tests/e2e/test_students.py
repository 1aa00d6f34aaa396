"""What a newcomer sees in the demo project, and one person's way from a curated set to an exported student."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import open_services
from app.usecases.labelling.label import LabelOrder
from engine.config import ProjectConfig
from engine.selection.settings import dcrs
from engine.values import Split, make_query
from tests.e2e.conftest import Server, Tab, make_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PROJECT = "puzzles"
DISTILL, HELD = 24, 8


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


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    workspace = tmp_path_factory.mktemp("curated") / "workspace"
    with open_services(workspace) as services:
        project = services.data.create_project(ProjectConfig(name=PROJECT, task="custom", embedder="packaged"))
        train, held = make_puzzles(FAST)
        queries = [make_query(p.text, kind=p.kind) for p in train[:DISTILL]]
        queries += [make_query(p.text, kind=p.kind, split=Split.HELDOUT) for p in held[:HELD]]
        golds = {make_query(p.text).id: p.answer for p in (*train, *held)}
        services.data.add_queries(project.id, queries, golds)
        services.label.add_scripted_teachers(project.id)
        services.context.wait(services.label.start(PROJECT, LabelOrder(splits=(Split.DISTILL, Split.HELDOUT))).id)
        services.select.select(PROJECT, dcrs(threshold=0.9))
    made = make_server(workspace, "--no-demo")
    made.start()
    yield made
    made.kill()


def open_tab(browser: Browser, server: Server) -> Tab:
    return Tab(browser.new_page(viewport={"width": 1280, "height": 900}), server.url).listen()


WALK = {
    "Data": "300 queries to distill from",
    "Teachers": "tabulate",
    "Label": "samples to distill from",
    "Select": "kept 566 of 875 samples",
    "Compress": "566 rationales",
    "Train": "15 of 15",
    "Evaluate": "over vanilla-fewshot (n = 204)",
    "Playground": "Who is asked",
    "Exports": "Student of stage",
    "Jobs and spend": "jobs, newest first",
}


def test_a_newcomer_walks_every_page_of_the_demo_project(browser: Browser, demo: Server) -> None:
    tab = open_tab(browser, demo)
    tab.open("")
    tab.page.get_by_role("link", name="demo", exact=True).wait_for()
    for name, seen in WALK.items():
        with tab.leave():
            tab.page.locator(".rail a", has_text=name).first.click()
            tab.page.locator(".rail a[aria-current=page]", has_text=name).wait_for()
        tab.see(seen)
    with tab.leave():
        tab.page.locator(".rail a", has_text="Evaluate").first.click()
        tab.page.locator(".rail a[aria-current=page]", has_text="Evaluate").wait_for()
    tab.see("stage1 for sums")
    tab.see("the queries on which they differ")
    with tab.leave():
        tab.page.locator(".rail a", has_text="Projects").first.click()
        tab.page.locator(".rail a[aria-current=page]", has_text="Projects").wait_for()
    with tab.leave():
        tab.press("Run it yourself")
        tab.page.wait_for_url("**/label?project=*")
    tab.page.locator(".topbar summary", has_text="demo, run 1").wait_for()
    tab.page.get_by_label("forward", exact=True).wait_for()
    tab.press("Start")
    tab.see("Started.")
    expect(tab.page.locator(".rail a", has_text="Label")).to_contain_text("samples", timeout=30_000)
    assert tab.errors == []


def test_a_visitor_of_the_hosted_demo_looks_and_plays_in_a_copy(browser: Browser, hosted: Server) -> None:
    tab = open_tab(browser, hosted)
    tab.open("")
    tab.see("What the page Evaluate says to ship")
    tab.open("select", "demo")
    tab.page.locator(".topbar summary", has_text="demo, to look at").wait_for()
    tab.see("kept 566 of 875 samples")
    tab.see("can only be looked at")
    expect(tab.page.get_by_role("button", name="Select", exact=True)).to_be_hidden()
    expect(tab.page.get_by_role("button", name="Next page")).to_be_visible()
    tab.open("playground", "demo")
    tab.page.get_by_label(re.compile("stage3")).wait_for()
    expect(tab.page.get_by_label("forward")).to_have_count(0)
    tab.open("teachers", "demo")
    expect(tab.page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    tab.open("")
    with tab.leave():
        tab.press("Make a copy of my own")
        tab.page.wait_for_url("**/evaluate?project=try-*", timeout=30_000)
    tab.page.locator(".topbar summary", has_text="your own copy").wait_for()
    mine = re.search(r"project=(try-\w+)", tab.page.url)
    assert mine
    tab.see("over vanilla-fewshot (n = 204)")
    with tab.leave():
        tab.page.goto(f"{hosted.url}/train?project={mine[1]}")
    tab.page.locator(".topbar summary", has_text="your own copy").wait_for()
    expect(tab.field("Preset")).to_have_value("Smoke test (4 updates a stage)")
    expect(tab.page.get_by_role("button", name="Start training", exact=True)).to_be_enabled()
    expect(tab.page.get_by_role("button", name="Resume")).to_be_disabled()
    with tab.leave():
        tab.page.goto(hosted.url)
    tab.see("Your copy is still there")
    assert tab.page.url.endswith(f"project={mine[1]}"), "the first page found it again"
    assert mine[1] not in tab.page.inner_text("body") + tab.page.title()
    gone = f"try-{'0' * 32}"
    with tab.leave():
        tab.page.goto(f"{hosted.url}/data?project={gone}")
    tab.see("Your copy is gone")
    assert tab.errors == []
    other = Tab(browser.new_context().new_page(), hosted.url).listen()
    other.open("")
    assert mine[1] not in other.page.content()
    assert other.errors == []
    response = other.page.goto(f"{hosted.url}/jobs")
    assert response and response.status == 404, "what is of all projects is not there"
    other.page.get_by_role("link", name="Go to the first page").click()
    other.page.locator(".topbar summary", has_text="demo, to look at").wait_for()


def test_from_a_curated_set_to_an_exported_student(
    browser: Browser, curated: Server, tiny_student: Path, tmp_path: Path
) -> None:
    tab = open_tab(browser, curated)
    tab.open("train", PROJECT)
    tab.see("No run yet")
    tab.choose("Plan", "TwT")
    tab.fill("Student", str(tiny_student))
    tab.fill("Name of the run", "with my review")
    tab.page.get_by_text("Advanced").click()
    tab.page.get_by_label("Pause for my review of compressed rationales").check()
    tab.fill("Epochs per stage", "4@1e-2,1@1e-2,20@1e-2")
    tab.fill("Batch size", "4")
    tab.fill("LoRA rank", "8")
    tab.fill("Max tokens per row", "900")
    tab.page.locator(".pipeline", has_text="you review").wait_for()
    tab.press("Forecast")
    tab.page.locator(".new-run .tile", has_text="memory").wait_for(timeout=120_000)
    tab.press("Start training")
    tab.see("with my review is queued")
    tab.page.locator(".listing td", has_text="with my review").wait_for()
    tab.page.locator(".pipeline li.running", has_text="stage1").wait_for(timeout=120_000)
    assert tab.errors == []
    tab.page.close()
    curated.kill()
    curated.start()
    tab = open_tab(browser, curated)
    tab.open("compress", PROJECT)
    tab.page.locator(".rail a", has_text="Compress").filter(has_text="waits for you").wait_for(timeout=180_000)
    tab.open("compress", PROJECT)
    tab.see("the run waits for you")
    review(tab)
    assert tab.errors == []
    tab.open("evaluate", PROJECT)
    tab.see(f"{HELD} held-out queries", timeout_s=30)
    tab.page.locator(".notice", has_text=re.compile(f"(Ship |Nothing worth shipping yet).*n = {HELD}")).wait_for()
    vote(tab)
    export(tab, tmp_path)
    assert tab.errors == []


def review(tab: Tab) -> None:
    """Edit one, approve by rule, go on, and wait for the end."""
    tab.page.locator("button.open").first.click()
    expect(tab.field("Compressed")).not_to_have_value("")
    tab.page.locator(".columns b", has_text="the student, on its own").wait_for()
    tab.field("Compressed").fill("Shorter, by hand.")
    tab.press("Save the edit")
    tab.see("Saved and approved")
    tab.page.locator("td", has_text="edited, answer preserved (level 1)").first.wait_for()
    tab.fill("Student tokens", "60")
    tab.press("Approve all preserved under that")
    tab.see("more are approved")
    tab.press("Approve the rest and go on")
    tab.see("The run goes on")
    tab.open("train", PROJECT)
    tab.page.locator("td", has_text="finished").first.wait_for(timeout=180_000)
    tab.page.locator(".pipeline li.done", has_text="stage3").first.wait_for()
    tab.page.locator(".js-plotly-plot", has_text="stage3").first.wait_for()


def vote(tab: Tab) -> None:
    """Ask in blind mode, and vote."""
    tab.open("playground", PROJECT)
    expect(tab.field("Query")).not_to_have_value("")
    for label in tab.page.locator("label", has_text=re.compile(r"stage1|stage2|forward|tabulate")).all():
        label.locator("input").uncheck()
    tab.page.get_by_label("blind: two of them, unnamed, until you have voted").check()
    tab.press("Ask")
    tab.page.get_by_role("button", name="A is better").wait_for(timeout=120_000)
    shown = tab.page.locator(".pane b").all_inner_texts()
    assert shown == ["A", "B"], "nobody is named before the vote"
    tab.press("Both are good")
    tab.page.locator("caption", has_text="blind votes").wait_for()
    assert "stage3" in " ".join(tab.page.locator(".pane b").all_inner_texts())


def export(tab: Tab, folder: Path) -> None:
    """Download the adapter, and let its own snippet load it."""
    tab.open("exports", PROJECT)
    expect(tab.field("Student of stage")).not_to_have_value("")
    tab.choose("Student of stage", "stage3")
    tab.press("Download the student")
    tab.see("stage3-adapter.zip")
    with tab.page.expect_download() as download:
        tab.page.locator("a[download], .file-preview a, a", has_text=re.compile("MB|KB")).first.click()
    path = folder / "adapter.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    made = folder / "stage3-adapter"
    found = re.search(r"```python\n(.*?)```", (made / "README.md").read_text(), re.DOTALL)
    assert found and json.loads((made / "tacit.json").read_text())["step"] == "stage3"
    done = subprocess.run([sys.executable, "-c", found[1]], cwd=made, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
