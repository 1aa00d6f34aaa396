"""From the slider to a smaller bill: a policy is exported, a gateway serves it, a program asks it, the meter moves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from playwright.sync_api import Browser, expect

from app.demo import make_puzzles
from app.recipe import FULL
from engine.serving.policy import read_policy
from tests.e2e.conftest import Server, Tab, free_port, make_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_server(tmp_path_factory.mktemp("saving") / "workspace")
    made.start()
    yield made
    made.kill()


@contextmanager
def gateway(policy: Path, workspace: Path) -> Iterator[str]:
    """`tacit gateway` on a policy, until it answers; gives its address."""
    port = free_port()
    command = [sys.executable, "-m", "app", "gateway", str(policy), "--no-key", "--port", str(port)]
    log = (workspace.parent / "gateway.log").open("ab")
    process = subprocess.Popen([*command, "--workspace", str(workspace)], stdout=log, stderr=log, env=os.environ)
    client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
    end = time.monotonic() + 60
    while True:
        try:
            client.models.list()
            break
        except openai.APIConnectionError:
            assert process.poll() is None and time.monotonic() < end, "the gateway did not start"
            time.sleep(0.2)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


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
    with gateway(file, demo.workspace) as address:
        client = openai.OpenAI(api_key="none", base_url=address)
        _, held = make_puzzles(FULL)
        for puzzle in held[:6]:
            said = client.chat.completions.create(model="tacit", messages=[{"role": "user", "content": puzzle.text}])
            assert said.choices[0].message.content and said.usage and said.usage.completion_tokens
    tab.open("save", "demo")
    card = tab.page.locator(".card", has_text="Requests")
    card.get_by_text("6", exact=True).wait_for(timeout=30_000)
    expect(card).to_contain_text("95% interval")
    assert tab.errors == []
