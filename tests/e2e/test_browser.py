"""What one person does in the browser, from a file of queries to a curated set, and what two tabs do to one record."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from app.web.main import PATHS
from tests.e2e.conftest import Server, Tab
from tests.fakes.provider import KEY, Provider, query_of, run_provider

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

PROJECT = "tickets"
QUERIES = 16
REASONS = {
    "careful": lambda label: f"Each option is weighed in turn, and of them {label} alone fits what is asked.",
    "brief": lambda label: f"{label} is meant, since the other one is plainly wrong here.",
    "odd": lambda label: f"Suppose it were not {label}: then the question would make no sense, so it is {label}.",
}


def write_queries(path: Path) -> Path:
    choices = '"{""A"": ""left"", ""B"": ""right""}"'
    rows = [f"query {n}: which way?,{choices}" for n in range(QUERIES)]
    rows[3:3] = [f",{choices}"]
    rows[7:7] = ["query 99: which way?,not json"]
    path.write_text("\n".join(["question,choices", *rows, rows[0]]) + "\n")
    return path


def open_tab(browser: Browser, server: Server, width: int = 1280) -> Tab:
    return Tab(browser.new_page(viewport={"width": width, "height": 900}), server.url).listen()


def add_teacher(tab: Tab, name: str, provider: Provider) -> None:
    tab.press("Add teacher")
    expect(tab.field("Name")).to_have_value("")
    tab.choose("Preset", "Other OpenAI-compatible server")
    expect(tab.field("Base URL")).to_be_visible()
    tab.fill("Name", name)
    tab.fill("Base URL", f"{provider.url}/v1")
    tab.fill("Max in flight", "1")
    tab.fill("Input price ($/M tokens)", "1")
    tab.fill("Output price ($/M tokens)", "2")
    if provider.key:
        tab.fill("Key environment variable", "TICKETS_KEY")
        tab.page.get_by_label(re.compile(r"^\s*Key(?! env)")).fill(KEY)
    tab.press("List models")
    tab.see("models offered")
    tab.fill("Model", f"{name}-1")
    tab.field("Model").press("Enter")
    tab.press("Save teacher")
    tab.see(f"{name} is saved")
    tab.page.wait_for_url(f"**open={name}*")


def count_samples(tab: Tab) -> int:
    found = re.search(r"([\d,]+) samples", tab.page.locator(".rail a", has_text="Label").inner_text())
    return int(found[1].replace(",", "")) if found else 0


def set_slider(tab: Tab, label: str, value: str) -> None:
    box = tab.page.get_by_label(f"number input for {label}")
    box.fill(value)
    box.press("Enter")


def test_from_a_file_to_a_curated_set(browser: Browser, server: Server, tmp_path: Path) -> None:
    tab = open_tab(browser, server)
    tab.open("")
    tab.fill("Project name", PROJECT)
    tab.choose("Task", "Multiple choice")
    with tab.leave():
        tab.press("Create project")
        tab.page.wait_for_url(f"**/data?project={PROJECT}")
    tab.page.locator(".topbar summary", has_text=PROJECT).wait_for()
    tab.page.set_input_files("input[type=file]", write_queries(tmp_path / "up.csv"))
    expect(tab.page.locator(".tile", has_text="Valid queries").locator(".value")).to_have_text(str(QUERIES))
    tab.see("Rows with errors (2)")
    tab.page.get_by_label("Values of question").get_by_text("query 0: which way?").wait_for()
    tab.page.get_by_role("radio", name="None").check()
    tab.press("Preview")
    tab.press("Import valid rows")
    tab.see(f"{QUERIES} queries added")
    expect(tab.page.locator(".tile", has_text="To distill from").locator(".value")).to_have_text(str(QUERIES))
    tab.page.locator(".listing tr", has_text="query 7: which way?").click()
    expect(tab.page.locator(".card.query .said")).to_have_text("query 7: which way?")
    with (
        run_provider(key=None, latency_s=0.25) as careful,
        run_provider(key=None, latency_s=0.25) as brief,
        run_provider(latency_s=0.25) as odd,
    ):
        providers = {"careful": careful, "brief": brief, "odd": odd}
        for name, provider in providers.items():
            provider.reason = REASONS[name]
        odd.answer = lambda user: "A" if "query 5" in user else "B"
        label_with_a_kill(tab, server, providers)
        assert tab.errors == []
        play(tab, careful)
    curate(tab)
    assert tab.errors == []


def play(tab: Tab, slow: Provider) -> None:
    """Teachers are read as they write; the second time one of them is stopped in the middle."""
    slow.piece_s = 0.15
    tab.open("playground", PROJECT)
    expect(tab.field("Query")).not_to_have_value("")
    tab.press("Ask")
    pane = tab.page.locator(".pane", has_text="careful")
    expect(pane).to_contain_text("Each option")
    assert "Answer:" not in pane.inner_text() and "rationale" not in pane.inner_text()
    expect(pane).to_contain_text("20 tokens", timeout=20_000)
    assert REASONS["careful"]("B") in pane.inner_text() and "Answer: B" in pane.inner_text()
    tab.press("Ask")
    expect(pane).not_to_contain_text("Answer:")
    expect(pane).to_contain_text("Each option")
    tab.press("Stop")
    expect(pane).to_contain_text("stopped")
    assert "Answer:" not in pane.inner_text()
    expect(tab.page.get_by_role("button", name="Stop")).to_be_hidden()
    query = tab.field("Query").input_value()
    link = tab.page.locator("[data-link=open]").get_attribute("data-value")
    tab.page.goto(f"{tab.base}/playground?project={PROJECT}&q=something+else")
    expect(tab.field("Query")).to_have_value("something else")
    tab.page.goto(f"{tab.base}/playground?project={PROJECT}&open={link}")
    expect(tab.field("Query")).to_have_value(query)
    tab.errors.clear()  # a page that is left cuts its own requests off


def label_with_a_kill(tab: Tab, server: Server, providers: dict[str, Provider]) -> None:
    tab.open("teachers", PROJECT)
    tab.page.get_by_text("Sampling, limits and prices").click()
    for name, provider in providers.items():
        add_teacher(tab, name, provider)
    tab.press("Test connection")
    tab.see("odd answers")
    tab.open("label", PROJECT)
    tab.page.get_by_label("odd", exact=True).wait_for()
    tab.see("Estimated cost")
    tab.fill("Cap in US $", "1.50")
    tab.press("Start labelling")
    tab.see("Started.")
    end = time.monotonic() + 60
    while count_samples(tab) < 6:
        assert time.monotonic() < end
        time.sleep(0.2)
    server.kill()
    tab.page.close()
    server.start()
    tab.page = tab.page.context.browser.new_page(viewport={"width": 1280, "height": 900})  # type: ignore[union-attr]
    tab.listen()
    tab.open("label", PROJECT)
    tab.press("Start labelling")
    tab.see("odd needs a key")
    tab.errors.clear()
    tab.open("teachers", PROJECT)
    tab.page.locator(".listing tr", has_text="odd-1").click()
    expect(tab.field("Model")).to_have_value("odd-1")
    tab.page.get_by_label(re.compile(r"^\s*Key(?! env)")).fill(KEY)
    tab.press("Save teacher")
    tab.see("odd is saved")
    tab.open("label", PROJECT)
    tab.fill("Cap in US $", "1.50")
    providers["brief"].faults["query"] = ["429 for long"]
    tab.press("Start labelling")
    tab.see("brief waits 9 min, as the provider asked", timeout_s=30)
    tab.press("Go on now with brief")
    tab.see("brief is asked again now")
    tab.see(f"{QUERIES * 3} samples", timeout_s=60)
    for name, provider in providers.items():
        asked = Counter(query_of(user) for user in provider.asked if "query" in user)
        twice = 2 if name == "brief" else 1  # what was refused cost nothing
        assert len(asked) == QUERIES and sum(asked.values()) <= QUERIES + twice, f"{name}: paid twice at most what flew"


def see_kept(tab: Tab, count: int, timeout_s: float = 30) -> None:
    tile = tab.page.locator(".tile", has_text="Samples kept").locator(".value")
    expect(tile).to_have_text(str(count), timeout=timeout_s * 1000)


def weight(tab: Tab, factor: str) -> Locator:
    return tab.page.get_by_label(f"number input for {factor}")


def curate(tab: Tab) -> None:
    tab.open("select", PROJECT)
    tab.press("Select")
    see_kept(tab, 0, timeout_s=120)
    tab.see("the threshold separates nothing")
    set_slider(tab, "Threshold of confidence", "0.94")
    see_kept(tab, 32)
    tab.see("you are here (0.94)")
    expect(tab.field("Preset")).to_have_value("Custom")
    tab.page.get_by_text("Weights of the factors").click()
    set_slider(tab, "Reasoning", "0.4")
    see_kept(tab, 0)
    set_slider(tab, "Reasoning", "0.2")
    see_kept(tab, 32)
    tab.page.get_by_role("checkbox", name="Answer").check()
    answer = weight(tab, "Answer").input_value()
    set_slider(tab, "Reasoning", "0.25")
    expect(weight(tab, "Clarity")).to_have_value(f"{0.75 - float(answer):g}")
    expect(weight(tab, "Answer")).to_have_value(answer)
    set_slider(tab, "Reasoning", "0.2")
    see_kept(tab, 32)
    tab.press("Select")
    tab.page.locator(".candidate", has_text="least similar pair").first.wait_for()
    tab.page.locator("button.open", has_text="query 5").click()
    expect(tab.page.locator(".asked")).to_contain_text("query 5")
    cells = tab.page.locator(".review .matrix tbody td")
    expect(cells).to_have_count(9)
    assert cells.all_text_contents().count("1.00") == 3
    assert tab.page.locator(".candidate del").count() and tab.page.locator(".candidate ins").count()
    tab.page.locator("button.key-d").click()
    tab.see("Dropped by hand:")
    expect(tab.page.locator(".candidate[aria-checked=true]")).to_contain_text("Dropped by hand")
    expect(tab.page.locator("button.key-u")).to_be_enabled()
    see_kept(tab, 31)
    tab.field("Rationale of the chosen sample").fill("What I would say <b>myself</b>.")
    tab.press("Save edit")
    tab.see("Edit saved")
    expect(tab.page.locator(".candidate p", has_text="What I would say <b>myself</b>.").first).to_be_visible()
    tab.page.locator("button.key-u").click()
    tab.see("Undone: edit of 1 sample")
    tab.page.locator("button.key-u").click()
    tab.see("Undone: drop of 1 sample")
    see_kept(tab, 32)
    tab.page.get_by_text("Overviews: similarity of teachers").click()
    tab.see("The same samples, selected otherwise")


def test_the_second_of_two_tabs_is_told(browser: Browser, server: Server) -> None:
    first, second = open_tab(browser, server), open_tab(browser, server)
    label = "Rationale of the chosen sample"
    for tab in (first, second):
        tab.open("select", PROJECT)
        tab.page.locator("button.open", has_text="query 7").click()
        expect(tab.page.locator(".asked")).to_contain_text("query 7")
        expect(tab.field(label)).not_to_have_value("")
    for tab, text in ((first, "the first says"), (second, "the second says")):
        tab.field(label).fill(text)
        tab.press("Save edit")
        tab.see("Edit saved" if tab is first else "Nothing was overwritten")
    expect(second.field(label)).to_have_value("the second says")
    second.page.locator(".candidate[aria-checked=true]").click()
    expect(second.field(label)).to_have_value("the first says")
    assert first.errors == []


@pytest.mark.parametrize("page", PATHS)
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_logs_an_error_or_is_wider_than_the_screen(
    browser: Browser, server: Server, page: str, width: int
) -> None:
    for project in ("", PROJECT) if width == 1280 else (PROJECT,):
        tab = open_tab(browser, server, width)
        tab.open(page, project)
        tab.page.wait_for_timeout(400)
        assert tab.errors == []
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        tab.page.close()
