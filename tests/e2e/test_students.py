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
    "Overview": "Passed the rules",
    "Data": "1-25 of 1,302 queries",
    "Teachers": "tabulate",
    "Label": "Samples so far",
    "Select": "of 875 (65%)",
    "Compress": "1-25 of 566 rationales",
    "Train": "15 of 15",
    "Evaluate": "Pays back after",
    "Save": "points below",
    "Playground": "Who is asked",
    "Exports": "Model card",
    "Jobs and spend": "Total spend",
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
    tab.page.locator("td.ship", has_text="0.94").wait_for()
    tab.page.locator(".pager", has_text="queries they differ on").wait_for()
    with tab.page.expect_download() as download:
        tab.press("Download report")
    assert "Ship Standard KD, equal updates" in download.value.path().read_text("utf-8")
    tab.page.locator(".chip", has_text="Neither right").click()
    tab.page.locator(".pager", has_text="1-10 of 18").wait_for()
    assert "show=neither" in tab.page.url
    with tab.leave():
        tab.page.reload()
    tab.page.locator(".pager", has_text="1-10 of 18").wait_for(timeout=30_000)
    with tab.leave():
        tab.page.locator(".rail a", has_text="Home").first.click()
        tab.page.locator(".rail a[aria-current=page]", has_text="Home").wait_for()
    with tab.leave():
        tab.press("Try it live: 48 queries")
        tab.page.wait_for_url("**/label?project=*")
    tab.page.locator(".topbar summary", has_text="demo, run 1").wait_for()
    tab.page.get_by_label("forward", exact=True).wait_for()
    tab.press("Start labelling")
    tab.see("Started.")
    expect(tab.page.locator(".rail a", has_text="Label")).to_contain_text("samples", timeout=30_000)
    assert tab.errors == []


def test_a_visitor_of_the_hosted_demo_looks_and_plays_in_a_copy(browser: Browser, hosted: Server) -> None:
    tab = open_tab(browser, hosted)
    tab.open("")
    tab.see("the best teacher")
    tab.open("select", "demo")
    tab.page.locator(".topbar summary", has_text="demo (read only)").wait_for()
    tab.see("of 875 (65%)")
    tab.see("can only be looked at")
    expect(tab.page.get_by_role("button", name="Select", exact=True)).to_be_hidden()
    expect(tab.page.get_by_role("button", name="Next", exact=True)).to_be_visible()
    tab.open("playground", "demo")
    tab.page.get_by_label(re.compile("Stage 3")).wait_for()
    expect(tab.page.get_by_label("forward")).to_have_count(0)
    tab.open("teachers", "demo")
    expect(tab.page.get_by_role("button", name="Save teacher")).to_have_count(0)
    tab.open("")
    with tab.leave():
        tab.press("Make a copy of my own")
        tab.page.wait_for_url("**/overview?project=try-*", timeout=30_000)
    tab.page.locator(".topbar summary", has_text="your own copy").wait_for()
    mine = re.search(r"project=(try-\w+)", tab.page.url)
    assert mine
    tab.page.locator(".verdict", has_text="over the untrained student (n = 1,002)").wait_for()
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
    other.page.locator(".topbar summary", has_text="demo (read only)").wait_for()


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
    tab.page.locator(".pipeline li:is(.running, .done)", has_text="Stage 1").first.wait_for(timeout=120_000)
    assert tab.errors == []
    tab.page.close()
    curated.kill()
    curated.start()
    tab = open_tab(browser, curated)
    tab.open("compress", PROJECT)
    tab.page.locator(".rail a", has_text="Compress").filter(has_text="waits for you").wait_for(timeout=180_000)
    tab.open("compress", PROJECT)
    tab.see("Stage 2 waits for you")
    review(tab)
    assert tab.errors == []
    tab.open("evaluate", PROJECT)
    tab.see(f"{HELD} held-out queries", timeout_s=30)
    tab.page.locator(".verdict", has_text=re.compile(f"(Ship |Not yet).*n = {HELD}", re.DOTALL)).wait_for()
    vote(tab)
    export(tab, tmp_path)
    assert tab.errors == []


def review(tab: Tab) -> None:
    """Approve with the keyboard, take it back, edit one, approve by rule, go on, and wait for the end."""
    text = tab.field("Compressed rationale")
    expect(text).not_to_have_value("")
    tab.page.locator(".columns b", has_text="The student, on its own").wait_for()
    first, current = text.input_value(), tab.page.locator(".listing tr.current")
    tab.page.keyboard.press("a")
    tab.see("Approved.")
    expect(tab.page.locator(".listing td", has_text=re.compile("^Approved$"))).to_have_count(1)
    tab.page.wait_for_url("**&open=*")
    tab.page.keyboard.press("u")
    tab.see("Not approved any more")
    expect(text).to_have_value(first)
    tab.page.keyboard.press("e")
    expect(text).to_be_focused()
    text.fill("Shorter, by hand.")
    tab.press("Save edit")
    tab.see("Saved and approved")
    expect(current).to_contain_text("Edited")
    tab.page.locator(".chip", has_text="Edited").click()
    tab.see("1-1 of 1 rationale")
    tab.page.locator(".chip", has_text="All").click()
    tab.fill("Student tokens", "60")
    tab.press("Approve all")
    tab.see("more are approved")
    tab.press("Approve the rest and continue")
    tab.see("The run continues")
    tab.open("train", PROJECT)
    tab.page.locator("td", has_text="finished").first.wait_for(timeout=180_000)
    tab.page.locator(".pipeline li.done", has_text="Stage 3").first.wait_for()
    tab.page.locator(".js-plotly-plot", has_text="Stage 3").first.wait_for()


def vote(tab: Tab) -> None:
    """Ask in blind mode, and vote."""
    tab.open("playground", PROJECT)
    expect(tab.field("Query")).not_to_have_value("")
    for label in tab.page.locator("label", has_text=re.compile(r"Stage 1|Stage 2|forward|tabulate")).all():
        label.locator("input").uncheck()
    tab.page.get_by_label("Blind: two of them, unnamed until you have voted").check()
    tab.press("Ask")
    tab.page.get_by_role("button", name="A is better").wait_for(timeout=120_000)
    shown = tab.page.locator(".pane b").all_inner_texts()
    assert shown == ["A", "B"], "nobody is named before the vote"
    tab.press("Both are good")
    tab.page.locator("summary", has_text="1 blind vote").wait_for()
    tab.page.locator(".badge", has_text="Gold label").wait_for()
    assert "Stage 3" in " ".join(tab.page.locator(".pane b").all_inner_texts())


def export(tab: Tab, folder: Path) -> None:
    """Download the adapter by one click, and let its own snippet load it."""
    tab.open("exports", PROJECT)
    expect(tab.field("Stage")).not_to_have_value("")
    tab.field("Stage").click()
    tab.page.get_by_role("option", name=re.compile("^Stage 3")).click()
    with tab.page.expect_download(timeout=180_000) as download:
        tab.press("Check and download zip: The adapter of Stage 3")
    assert download.value.suggested_filename == "stage3-adapter.zip"
    path = folder / "adapter.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    made = folder / "stage3-adapter"
    found = re.search(r"```python\n(.*?)```", (made / "README.md").read_text(), re.DOTALL)
    provenance = json.loads((made / "tacit.json").read_text())
    assert found and provenance["step"] == "stage3" and provenance["read_back"]["share"] >= 0.9
    done = subprocess.run([sys.executable, "-c", found[1]], cwd=made, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
