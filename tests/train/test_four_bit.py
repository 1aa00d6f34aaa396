"""A base in 4 bits: what it needs is said, and it is another training."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import StudentConfig, TrainConfig, read_config
from engine.errors import MissingPart
from engine.inference.writer import Device
from engine.jobs.spec import StudentJob, WorkerStep
from engine.jobs.student import run_steps
from engine.plans.order import PlanOrder, read_order
from engine.train.sft import StageJob, hold_in_four_bits, open_adapter
from tests.train.test_stages import Sink

GPU = Device("cuda", torch.bfloat16)


def test_an_order_for_four_bits_is_the_students() -> None:
    assert read_order(read_config(PlanOrder, {"four_bit": True}), False).student.four_bit
    assert not read_order(PlanOrder(), False).student.four_bit


def test_without_a_gpu_it_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    job = StageJob("s", StudentConfig(model="/nowhere", four_bit=True), TrainConfig(), (), None, tmp_path)
    with pytest.raises(MissingPart, match="needs an NVIDIA GPU"):
        open_adapter(job, Device("cpu", torch.bfloat16))


def test_a_run_is_refused_before_its_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of the untrained student comes first, and takes long: nothing of it is begun."""
    monkeypatch.setattr("engine.jobs.student.pick_device", lambda: Device("cpu", torch.bfloat16))
    file = tmp_path / "rows.jsonl"
    steps = (WorkerStep(kind="write", name="vanilla", file=file), WorkerStep(kind="train", name="stage1", file=file))
    sink = Sink()
    with pytest.raises(MissingPart, match="needs an NVIDIA GPU"):
        run_steps(StudentJob(student=StudentConfig(four_bit=True), steps=steps), [], sink, lambda: False)
    assert sink.events == []


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPart, match="qlora"):
        hold_in_four_bits(GPU)


def test_the_base_is_asked_for_in_nf4_on_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    class Stop(Exception):
        pass

    def load(folder: str, **settings: Any) -> Any:
        asked.update(settings)
        raise Stop

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr("engine.inference.writer.AutoModelForCausalLM.from_pretrained", load)
    job = StageJob("s", StudentConfig(model="some/model", four_bit=True), TrainConfig(), (), None, tmp_path)
    with pytest.raises(Stop):
        open_adapter(job, GPU)
    held = asked["quantization_config"]
    assert held.load_in_4bit and held.bnb_4bit_quant_type == "nf4" and held.bnb_4bit_compute_dtype == torch.bfloat16
    assert asked["device_map"] == {"": "cuda"}
