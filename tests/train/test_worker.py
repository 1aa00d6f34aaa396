"""The real worker process on a tiny student: killed in the middle of training, then resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.config import LoraSettings, StudentConfig, TrainConfig
from engine.datasets.rows import row_to_json
from engine.jobs.backends.local import worker_command
from engine.jobs.events import EVENTS_FILE, read_events
from engine.jobs.spec import SPEC_FILE, STATUS_FILE, StudentJob, WorkerStep, write_spec
from engine.lines import write_atomically, write_lines
from engine.values import Event
from tests.train.test_stages import TASK, examples, rationale_rows

UPDATES = 40


def prepare(folder: Path, tiny: Path) -> Path:
    folder.mkdir()
    rows = write_lines(folder / "stage1.jsonl", map(row_to_json, rationale_rows(TASK, examples())))
    asks = [{"query_id": e.query.id, "system": "student", "prompt": [["user", e.query.text]]} for e in examples()[:6]]
    train = TrainConfig(updates=UPDATES, learning_rate=1e-2, max_tokens=600, validation=0, save_every=5)
    steps = (
        WorkerStep(kind="train", name="stage1", file=rows, folder=folder / "stage1", train=train),
        WorkerStep(
            kind="write",
            name="answers",
            file=write_lines(folder / "answers.jsonl", asks),
            start=folder / "stage1" / "adapter",
            max_new_tokens=8,
        ),
    )
    student = StudentConfig(model=str(tiny), lora=LoraSettings(rank=4), generate_batch=2)
    write_spec(folder, StudentJob(student=student, steps=steps))
    return folder


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "engine.jobs.worker", str(folder)], stderr=subprocess.PIPE)


def finish(folder: Path) -> list[Event]:
    process = start(folder)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err.decode()
    assert json.loads((folder / STATUS_FILE).read_text())["status"] == "finished"
    return read_events(folder / EVENTS_FILE).events


def wait_for(folder: Path, update: int) -> None:
    end = time.monotonic() + 120
    while True:
        events = read_events(folder / EVENTS_FILE).events
        if any(event.type == "metric" and event.data["update"] >= update for event in events):
            return
        assert time.monotonic() < end
        time.sleep(0.02)


def final_loss(events: list[Event]) -> float:
    return float(next(e.data["result"]["final_loss"] for e in events if e.type == "step_finished"))


def test_killed_and_cancelled_training_ends_where_the_uninterrupted_one_ends(
    tiny_student: Path, tmp_path: Path
) -> None:
    whole = finish(prepare(tmp_path / "whole", tiny_student))
    cut = prepare(tmp_path / "cut", tiny_student)
    process = start(cut)
    wait_for(cut, 8)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (cut / STATUS_FILE).exists()
    process = start(cut)
    wait_for(cut, 18)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    told = json.loads((cut / STATUS_FILE).read_text())
    assert told == {"status": "cancelled", "message": "stopped on request"}
    events = finish(cut)
    assert sum(event.type == "resumed" for event in events) == 2
    assert final_loss(events) == pytest.approx(final_loss(whole), abs=1e-4)
    answers = [event.data["query_id"] for event in events if event.type == "answer"]
    assert len(answers) == len(set(answers)) == 6
    again = finish(cut)
    assert [event.type for event in again[len(events) :]] == ["threads"], "a finished job does nothing again"


def test_a_broken_spec_ends_as_failed_with_a_message(tmp_path: Path) -> None:
    write_atomically(tmp_path / SPEC_FILE, {"kind": "student", "payload": {"steps": [], "students": {}}})
    process = start(tmp_path)
    process.communicate(timeout=60)
    told = json.loads((tmp_path / STATUS_FILE).read_text())
    assert process.returncode == 1 and told["status"] == "failed" and "students" in told["message"]


def test_several_gpus_go_through_the_launcher_with_an_argument_list() -> None:
    command = worker_command(Path("/runs/a b"), 4)
    assert command[1:5] == ["-m", "accelerate.commands.launch", "--num_processes", "4"]
    assert command[-3:] == ["-m", "engine.jobs.worker", "/runs/a b"]
    assert os.sep in worker_command(Path("/x"), 1)[0]
