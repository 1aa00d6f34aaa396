"""What only a GPU shows: number formats, memory, several devices. `make test-gpu` says what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import LoraSettings, StudentConfig, TrainConfig
from engine.datasets.full import rationale_rows
from engine.datasets.rows import row_to_json
from engine.inference.writer import Device, Writer, WriteRequest, load_student, load_tokenizer, pick_device
from engine.jobs.backends.local import worker_command
from engine.jobs.events import EVENTS_FILE, read_events
from engine.jobs.spec import STATUS_FILE, StudentJob, WorkerStep, write_spec
from engine.lines import write_lines
from engine.train.sft import StageJob, StageResult, train_stage
from tests.train.test_stages import TASK, Sink, examples

pytestmark = pytest.mark.gpu
CPU = Device("cpu", torch.float32)


def train(tiny: Path, folder: Path) -> StageResult:
    student = StudentConfig(model=str(tiny), lora=LoraSettings(rank=4))
    config = TrainConfig(updates=6, learning_rate=1e-2, max_tokens=600, validation=0)
    rows = tuple(rationale_rows(TASK, examples()))
    return train_stage(StageJob("stage1", student, config, rows, None, folder), Sink(), lambda: False)


def test_the_device_is_the_gpu_in_a_format_that_it_has() -> None:
    device = pick_device()
    assert device.name == "cuda"
    assert device.dtype == (torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def test_a_stage_trains_alike_with_activations_kept_and_computed_anew(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = train(tiny_student, tmp_path / "kept")
    monkeypatch.setattr("engine.train.sft.fit_activations", lambda *_: False)
    anew = train(tiny_student, tmp_path / "anew")
    assert kept.first_loss is not None and kept.final_loss is not None and anew.final_loss is not None
    assert kept.final_loss < kept.first_loss
    assert kept.final_loss == pytest.approx(anew.final_loss, rel=0.01)


def test_the_gpu_trains_to_the_loss_of_the_cpu(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gpu = train(tiny_student, tmp_path / "gpu")
    monkeypatch.setattr("engine.train.sft.pick_device", lambda: CPU)
    on_cpu = train(tiny_student, tmp_path / "cpu")
    assert on_gpu.final_loss == pytest.approx(on_cpu.final_loss, rel=0.02)


def test_it_writes_what_the_cpu_writes(tiny_student: Path) -> None:
    student = StudentConfig(model=str(tiny_student))
    asks = [WriteRequest(str(n), (("user", "x" * n),)) for n in range(1, 9)]

    def write(device: Device) -> dict[str, str]:
        writer = Writer(load_student(student, None, device), load_tokenizer(student), 12, 4)
        return {generation.query_id: generation.text for generation in writer.write(asks)}

    assert write(Device("cuda", torch.float32)) == write(CPU)


def run_worker(folder: Path, tiny: Path, devices: int) -> float:
    """Train in a worker on so many GPUs, by accelerate's launcher where there are several; the last loss."""
    folder.mkdir()
    rows = write_lines(folder / "stage1.jsonl", map(row_to_json, rationale_rows(TASK, examples())))
    config = TrainConfig(updates=6, batch_size=8, learning_rate=1e-2, max_tokens=600, validation=0)
    step = WorkerStep(kind="train", name="stage1", file=rows, folder=folder / "stage1", train=config)
    payload: Any = StudentJob(student=StudentConfig(model=str(tiny), lora=LoraSettings(rank=4)), steps=(step,))
    write_spec(folder, payload)
    environment = {**os.environ, "TACIT_DEVICES": str(devices)}
    subprocess.run(worker_command(folder, devices), env=environment, check=True, timeout=600)
    assert json.loads((folder / STATUS_FILE).read_text())["status"] == "finished"
    events = read_events(folder / EVENTS_FILE).events
    return float(next(e.data["result"]["final_loss"] for e in events if e.type == "step_finished"))


def test_a_batch_on_two_gpus_is_the_batch_on_one(tiny_student: Path, tmp_path: Path) -> None:
    """Eight rows on two GPUs are eight rows: the losses are those of one. Needs two."""
    assert torch.cuda.device_count() >= 2, "this machine has one GPU; run the other tests with -k 'not two_gpus'"
    one, two = (run_worker(tmp_path / str(count), tiny_student, count) for count in (1, 2))
    assert two == pytest.approx(one, rel=0.02)


def test_the_bench_runs(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.bench_train"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ratio" in done.stdout
