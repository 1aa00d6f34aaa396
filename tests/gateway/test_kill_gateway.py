"""kill -9 of a gateway that is asked: what a caller was answered is on its meter, and nothing is there twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import pytest

from app.usecases.serving.meter import read_meter
from engine.config import TeacherConfig
from engine.prompts import load_prompt
from engine.serving.policy import Policy, TeacherRung, write_policy
from tests.fakes.provider import run_provider

KILLS, CALLERS = 15, 4


class Callers:
    """Threads that ask one after another until told to stop."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.asked = self.answered = 0
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def _call(self) -> None:
        while not self._over.is_set():
            with self._lock:
                self.asked += 1
                body = json.dumps({"messages": [{"role": "user", "content": f"query {self.asked}?"}]}).encode()
            request = urllib.request.Request(
                f"{self._url}/chat/completions", body, {"Authorization": f"Bearer {self._key}"}
            )
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    json.loads(answer.read())
            except (OSError, ValueError, HTTPException):
                continue
            with self._lock:
                self.answered += 1

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def start(workspace: Path, *more: str) -> tuple[subprocess.Popen[str], list[str]]:
    command = [sys.executable, "-m", "app", "gateway", str(workspace / "policy.json"), "--port", "0", *more]
    process = subprocess.Popen([*command, "--workspace", str(workspace)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "is open at" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "it ended"
    return process, lines


@pytest.mark.kill
def test_what_was_answered_is_on_the_meter_however_often_it_is_killed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(3)
    asked = answered = 0
    key = ""
    with run_provider(key=None, latency_s=0.02, answer=lambda user: "Tom", keep=False) as provider:
        teacher = TeacherConfig(name="ann", provider="openai", model="m", endpoint=f"{provider.url}/v1")
        rung = TeacherRung(system="ann", teacher=teacher, prompt=load_prompt("teacher", "custom").text)
        write_policy(Policy(project="puzzles", run="r", task="custom", rungs=(rung,)), tmp_path / "policy.json")
        for number in range(KILLS):
            process, lines = start(tmp_path, *(() if number else ("--new-key",)))
            key = key or lines[0].split()[-1]
            url = next(word for word in lines[-1].split() if word.startswith("http")).rstrip(",")
            callers = Callers(url, key)
            time.sleep(rng.uniform(0.2, 1.5))
            process.kill()
            callers.stop()
            process.communicate()
            asked, answered = asked + callers.asked, answered + callers.answered
    meter = read_meter(tmp_path / "gateway" / "puzzles")
    told = f"gateway: {KILLS} kills, {answered:,} answered of {asked:,} asked, {meter.requests:,} on the meter"
    record_property("kills", told)
    assert answered > 10 * KILLS
    assert answered <= meter.requests <= answered + KILLS * CALLERS
    assert meter.damaged == 0
