"""The command as an operator runs it: a key is printed, callers are answered, SIGTERM lets answers go out first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

from app.usecases.serving.meter import read_meter
from engine.config import TeacherConfig
from engine.prompts import load_prompt
from engine.serving.policy import Policy, TeacherRung, write_policy
from tests.fakes.provider import run_provider


def test_a_gateway_is_started_asked_and_stopped(tmp_path: Path) -> None:
    with run_provider(key=None, latency_s=1.0, answer=lambda user: "Tom") as provider:
        teacher = TeacherConfig(name="ann", provider="openai", model="m", endpoint=f"{provider.url}/v1")
        rung = TeacherRung(system="ann", teacher=teacher, prompt=load_prompt("teacher", "custom").text)
        write_policy(Policy(project="puzzles", run="r", task="custom", rungs=(rung,)), tmp_path / "policy.json")
        command = [sys.executable, "-m", "app", "gateway", str(tmp_path / "policy.json"), "--port", "0", "--new-key"]
        process = subprocess.Popen(
            [*command, "--workspace", str(tmp_path)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert process.stdout is not None
        try:
            key = process.stdout.readline().split()[-1]
            url = next(word for word in process.stdout.readline().split() if word.startswith("http")).rstrip(",")
            body = json.dumps({"messages": [{"role": "user", "content": "Who?"}]}).encode()
            asked = urllib.request.Request(f"{url}/chat/completions", body, {"Authorization": f"Bearer {key}"})
            answers: list[dict[str, object]] = []

            def call() -> None:
                answers.append(json.loads(urllib.request.urlopen(asked, timeout=20).read()))

            caller = threading.Thread(target=call)
            caller.start()
            while len(provider.seen) < 2:  # the first one found out what the endpoint supports
                assert caller.is_alive()
                caller.join(0.02)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
            caller.join()
        finally:
            process.kill()
            process.stdout.close()
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == ["Tom"]  # type: ignore[index]
    meter = read_meter(tmp_path / "gateway" / "puzzles")
    assert meter.by_rung == {"ann": 1} and meter.address == url.removesuffix("/v1") and meter.written == {"ann": 20}
