"""The gateway that the studio starts: it is asked by its key, says why it ended, and never outlives the studio."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from app.usecases.serving.child import KEY_NAME, ChildGatewayService, ChildState
from app.usecases.serving.keys import read_keys
from app.usecases.teachers.connections import Keys
from engine.errors import KeyMissing, StateError
from engine.prompts import load_prompt
from engine.puzzles import generate_puzzles
from engine.serving.policy import Policy, TeacherRung
from tests.gateway.test_rungs import hosted
from tests.gateway.test_two_draws import FORWARD

POLICY = Policy(
    project="puzzles",
    run="r",
    task="custom",
    rungs=(TeacherRung(system="forward", teacher=FORWARD.teacher, prompt=load_prompt("teacher", "custom").text),),
)


def make_service(workspace: Path) -> ChildGatewayService:
    projects = SimpleNamespace(get=lambda name: SimpleNamespace(name=name))
    return ChildGatewayService(SimpleNamespace(workspace=workspace, projects=projects), Keys())  # type: ignore[arg-type]


def wait(look: Callable[[], ChildState], state: str) -> ChildState:
    end = time.monotonic() + 60
    while (now := look()).state != state:
        assert time.monotonic() < end, now
        time.sleep(0.1)
    return now


def ask(address: str, key: str) -> str:
    body = json.dumps({"messages": [{"role": "user", "content": generate_puzzles(1, 0)[0].text}]}).encode()
    asked = urllib.request.Request(f"{address}/chat/completions", body, {"Authorization": f"Bearer {key}"})
    answer = json.loads(urllib.request.urlopen(asked, timeout=20).read())
    return str(answer["tacit"]["rung"])


def test_one_that_dies_at_its_start_says_why_and_one_that_starts_is_stopped(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        service.start("puzzles", POLICY, taken.getsockname()[1])
        ended = wait(lambda: service.look("puzzles"), "ended")
    assert "can't be listened on" in ended.words and "Error" not in ended.words and not ended.runs
    key = service.start("puzzles", POLICY)
    with pytest.raises(StateError, match="runs already"):
        service.start("puzzles", POLICY)
    (stored,) = read_keys(tmp_path / "gateway/puzzles")
    assert stored.name == KEY_NAME and key not in "".join(
        p.read_text() for p in (tmp_path / "gateway/puzzles").iterdir()
    )
    service.close()
    assert service.look("puzzles") == ChildState("none") and read_keys(tmp_path / "gateway/puzzles") == []


def test_a_teacher_s_key_that_is_missing_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOOPBACK_KEY", raising=False)
    with pytest.raises(KeyMissing, match="LOOPBACK_KEY"):
        make_service(tmp_path).start("puzzles", hosted("http://127.0.0.1:1"))
    assert not (tmp_path / "gateway").exists()


PARENT = """
import json, pathlib, sys, time
from tests.gateway.test_child import POLICY, make_service, wait
service = make_service(pathlib.Path(sys.argv[1]))
key = service.start("puzzles", POLICY)
opened = wait(lambda: service.look("puzzles"), "open")
print(json.dumps([key, opened.address, service._children["puzzles"].process.pid]), flush=True)
time.sleep(600)
"""


def test_it_is_asked_by_its_key_and_ends_with_a_studio_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert parent.stdout is not None
    try:
        key, address, number = json.loads(parent.stdout.readline())
        child = psutil.Process(number)
        assert ask(address, key) == "forward"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(address, "tacit-other")
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    gone, alive = psutil.wait_procs([child], timeout=60)
    assert gone and not alive
