"""From the slider to a smaller bill: a policy is exported, the page serves it, a program asks it, the meter moves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from playwright.sync_api import Browser, expect

from app.demo import make_puzzles
from app.recipe import FULL
from engine.serving.policy import read_policy
from tests.e2e.conftest import Server, Tab, make_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_server(tmp_path_factory.mktemp("saving") / "workspace")
    made.start()
    yield made
    made.kill()


def test_a_slider_becomes_a_gateway_whose_meter_moves(browser: Browser, demo: Server, tmp_path: Path) -> None:
    tab = Tab(browser.new_page(viewport={"width": 1280, "height": 900}), demo.url).listen()
    tab.open("save", "demo")
    tab.page.locator(".verdict").wait_for(timeout=60_000)
    slider = tab.page.locator("input[type=range]")
    slider.focus()
    slider.press("End")
    tab.page.locator(".verdict", has_text="At most 10 points below").wait_for(timeout=60_000)
    expect(tab.page.locator(".verdict .tile", has_text="Output tokens saved").locator(".value")).to_contain_text("%")
    with tab.page.expect_download() as saved:
        tab.press("Export policy")
    file = tmp_path / "policy.json"
    saved.value.save_as(file)
    policy = read_policy(file)
    assert policy.certificate is not None and policy.certificate.allowed == 0.1
    tab.press("Start gateway")
    code = tab.page.locator(".code", has_text="export TACIT_KEY=")
    key = code.inner_text().partition("=")[2].split()[0]
    used = tab.page.locator(".code", has_text="base_url")
    used.wait_for(timeout=120_000)
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+/v1", used.inner_text())
    client = openai.OpenAI(api_key=key, base_url=address, max_retries=0)
    _, held = make_puzzles(FULL)
    for puzzle in held[:6]:
        said = client.chat.completions.create(model="tacit", messages=[{"role": "user", "content": puzzle.text}])
        assert said.choices[0].message.content and said.usage and said.usage.completion_tokens
    card = tab.page.locator(".card", has_text="Requests")
    card.get_by_text("6", exact=True).wait_for(timeout=30_000)  # the page reads the meter by itself
    expect(card).to_contain_text("95% interval")
    tab.open("save", "demo")
    tab.page.locator(".code", has_text="base_url").wait_for(timeout=60_000)
    assert key not in tab.page.content(), "it is shown once"
    tab.press("Stop gateway")
    tab.page.get_by_role("button", name="Start gateway").wait_for(timeout=30_000)
    with pytest.raises(openai.APIConnectionError):
        client.models.list()
    assert tab.errors == []
