"""Activations are kept where they fit."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from engine.config import StudentConfig, TrainConfig
from engine.inference.writer import Device
from engine.train.activations import _pad, fit_activations, is_enough
from engine.train.sft import Encoded, StageJob, _arguments


def raise_out_of_memory() -> int:
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(("bytes_taken", "fits"), [(0, True), (800, True), (900, False), (5000, False)])
def test_some_of_the_free_memory_is_left(bytes_taken: int, fits: bool) -> None:
    assert is_enough(lambda: bytes_taken, 1000) is fits


def test_an_update_that_runs_out_of_memory_does_not_fit() -> None:
    assert not is_enough(raise_out_of_memory, 1000)


def test_without_a_gpu_nothing_is_tried() -> None:
    assert fit_activations(None, [], 8, 0, "cpu")


def test_the_longest_rows_are_tried_on_all_their_positions() -> None:
    batch = _pad([Encoded([5, 6, 7], [-100, 6, 7]), Encoded([8], [8])], 0, "cpu")
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == batch["input_ids"].tolist()


@pytest.mark.parametrize(("keeps", "checkpointing"), [(True, False), (False, True)])
def test_they_are_computed_anew_on_a_gpu_only_where_they_do_not_fit(
    keeps: bool, checkpointing: bool, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}
    monkeypatch.setattr("engine.train.sft.SFTConfig", lambda **settings: seen.update(settings))
    job = StageJob("s", StudentConfig(), TrainConfig(), (), None, tmp_path)  # type: ignore[arg-type]
    _arguments(job, Device("cuda", torch.bfloat16), 4, False, 8, keeps)
    assert seen["activation_checkpointing"] is checkpointing and seen["bf16"] is True


def test_where_there_is_no_gpu_its_checks_say_what_they_need() -> None:
    done = subprocess.run([sys.executable, "-m", "scripts.gpu"], capture_output=True, text=True)
    expected = (0, "GPU 0") if torch.cuda.is_available() else (1, "needs an NVIDIA GPU")
    assert (done.returncode, expected[1] in done.stdout + done.stderr) == (expected[0], True)
