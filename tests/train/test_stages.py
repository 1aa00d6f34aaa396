"""Three stages with the real TRL and PEFT on a tiny model: one adapter, continued."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from trl import SFTTrainer

from engine.config import LoraSettings, StudentConfig, TrainConfig
from engine.datasets.encode import encode_row
from engine.datasets.full import rationale_rows
from engine.datasets.label import label_rows
from engine.datasets.rows import Example
from engine.errors import StateError
from engine.inference.writer import Writer, WriteRequest, load_student, load_tokenizer, pick_device
from engine.puzzles import generate_puzzles, solve_puzzle
from engine.tasks import get_task
from engine.train.callback import last_complete_checkpoint
from engine.train.sft import (
    CompletionTrainer,
    StageJob,
    StageResult,
    _arguments,
    _as_dataset,
    open_adapter,
    train_stage,
)
from engine.values import StageRow, make_query

TASK = get_task("custom")


class Sink:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, type_: str, **data: Any) -> None:
        self.events.append((type_, data))

    def losses(self) -> list[float]:
        return [data["values"]["loss"] for type_, data in self.events if type_ == "metric" and "loss" in data["values"]]


def examples(count: int = 24) -> list[Example]:
    found = []
    for puzzle in generate_puzzles(count, seed=3):
        solution = solve_puzzle(puzzle.text, "forward")[1]
        rationale = " ".join(step.short for step in solution.steps)
        found.append(Example(make_query(puzzle.text, kind=puzzle.kind), puzzle.text, rationale, puzzle.answer))
    return found


def student(folder: Path) -> StudentConfig:
    return StudentConfig(model=str(folder), lora=LoraSettings(rank=4), generate_tokens=16)


def stage(
    folder: Path, name: str, rows: list[StageRow], tiny: Path, start: Path | None = None, **train: Any
) -> StageJob:
    settings = {"updates": 20, "learning_rate": 1e-2, "max_tokens": 600, "validation": 0, "save_every": 5, **train}
    return StageJob(name, student(tiny), TrainConfig(**settings), tuple(rows), start, folder / name)


def run(job: StageJob, sink: Sink | None = None, stop_at: int | None = None) -> StageResult:
    asked = iter(range(10**6))
    return train_stage(job, sink or Sink(), lambda: stop_at is not None and next(asked) + 1 >= stop_at)


def test_three_stages_continue_one_adapter_and_the_loss_falls(tiny_student: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rows = {"stage1": rationale_rows(TASK, examples()), "stage3": label_rows(TASK, examples())}
    sink = Sink()
    first = stage(tmp_path, "stage1", rows["stage1"], tiny_student)
    result = run(first, sink)
    losses = sink.losses()
    assert result.finished and result.updates == 20 and result.train_rows == 24
    assert losses[-1] < losses[0] - 0.1
    second = stage(tmp_path, "stage2", rows["stage1"], tiny_student, first.folder / "adapter", updates=2)
    third = stage(tmp_path, "stage3", rows["stage3"], tiny_student, second.folder / "adapter", updates=2)
    second_sink = Sink()
    run(second, second_sink)
    assert second_sink.losses()[0] < losses[0] - 0.1, "stage 2 must go on from stage 1's adapter"
    run(third)
    weights = [load_file(job.folder / "adapter" / "adapter_model.safetensors") for job in (first, second, third)]
    assert weights[0].keys() == weights[1].keys() == weights[2].keys()
    for earlier, later in pairwise(weights):
        moved = sum(float((earlier[name] - later[name]).abs().sum()) for name in earlier)
        size = sum(float(earlier[name].abs().sum()) for name in earlier)
        assert 0 < moved < size, "a continued adapter has moved, and is not a new one"


def test_rows_over_the_limit_are_dropped_and_counted_never_cut(tiny_student: Path, tmp_path: Path) -> None:
    rows = rationale_rows(TASK, examples(8))
    long = rationale_rows(TASK, [Example(make_query("q"), "s", "x" * 900, "4")])
    sink = Sink()
    result = run(stage(tmp_path, "stage1", rows + long, tiny_student, updates=1), sink)
    assert result.dropped == 1 and result.train_rows == 8
    assert ("rows", {"step": "stage1", "train": 8, "validation": 0, "dropped": 1}) in sink.events


def test_a_stage_ends_where_its_training_tokens_do(tiny_student: Path, tmp_path: Path) -> None:
    rows = rationale_rows(TASK, examples(8))
    result = run(stage(tmp_path, "stage1", rows, tiny_student, updates=None, tokens=3_000, batch_size=2))
    assert result.finished and abs(result.tokens - 3_000) < 2 * 600 and result.updates > 1


def test_a_stage_without_a_fitting_row_says_so(tiny_student: Path, tmp_path: Path) -> None:
    rows = rationale_rows(TASK, examples(2))
    with pytest.raises(StateError, match="no row of 2 fits into 10 tokens"):
        run(stage(tmp_path, "stage1", rows, tiny_student, max_tokens=10))


def test_a_stopped_stage_resumes_to_where_the_uninterrupted_one_ends(tiny_student: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rows = rationale_rows(TASK, examples())
    whole = run(stage(tmp_path / "a", "stage1", rows, tiny_student))
    job = stage(tmp_path / "b", "stage1", rows, tiny_student)
    cut = run(job, stop_at=8)
    assert not cut.finished and cut.updates == 8
    assert not (job.folder / "adapter").exists()
    checkpoint = last_complete_checkpoint(job.folder / "checkpoints")
    assert checkpoint is not None and checkpoint.name == "checkpoint-8"
    sink = Sink()
    resumed = run(job, sink)
    assert ("resumed", {"step": "stage1", "update": 8}) in sink.events
    assert whole.final_loss is not None and resumed.final_loss == pytest.approx(whole.final_loss, abs=1e-4)
    one, other = (load_file(tmp_path / x / "stage1" / "adapter" / "adapter_model.safetensors") for x in "ab")
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_a_checkpoint_that_was_not_written_to_its_end_is_not_resumed_from(tmp_path: Path) -> None:
    for number, complete in ((5, True), (10, False)):
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text("{}")
        if complete:
            (folder / "complete").touch()
    found = last_complete_checkpoint(tmp_path)
    assert found is not None and found.name == "checkpoint-5"


def test_validation_withholds_whole_queries_and_reports_their_loss(tiny_student: Path, tmp_path: Path) -> None:
    sink = Sink()
    result = run(stage(tmp_path, "s", rationale_rows(TASK, examples()), tiny_student, updates=4, validation=0.3), sink)
    assert result.validation_rows > 0 and result.train_rows + result.validation_rows == 24
    assert result.validation_loss is not None
    assert any("validation_loss" in data["values"] for type_, data in sink.events if type_ == "metric")


def test_the_cpu_loss_is_trls_loss(tiny_student: Path, tmp_path: Path) -> None:
    job = stage(tmp_path, "s", rationale_rows(TASK, examples(6)), tiny_student, updates=1)
    tokenizer = load_tokenizer(job.student)
    encoded = [encode_row(tokenizer, row) for row in job.rows]
    losses = []
    for kind in (CompletionTrainer, SFTTrainer):
        torch.manual_seed(0)
        trainer = kind(
            model=open_adapter(job, pick_device()).float(),
            args=_arguments(job, pick_device(), 1, False),
            train_dataset=_as_dataset(encoded),
            processing_class=tokenizer,
        )
        batch = next(iter(trainer.get_train_dataloader()))
        losses.append(float(trainer.compute_loss(trainer.model, dict(batch)).detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_generated_tokens_count_the_end_and_stop_cuts_a_batch_off(tiny_student: Path) -> None:
    config = student(tiny_student)
    tokenizer = load_tokenizer(config)
    model = load_student(config, None, pick_device())
    asks = [WriteRequest(str(n), (("user", "x" * n),)) for n in range(1, 6)]
    written = list(Writer(model, tokenizer, 16, 2).write(asks))
    assert sorted(g.query_id for g in written) == ["1", "2", "3", "4", "5"]
    for generation in written:
        ids = tokenizer.encode(generation.text, add_special_tokens=False)
        assert 1 <= generation.tokens <= 16 and (generation.finished or generation.tokens == 16)
        assert len(ids) <= generation.tokens
    alone = {g.query_id: g.text for ask in asks for g in Writer(model, tokenizer, 16, 1).write([ask])}
    assert sum(alone[g.query_id] == g.text for g in written) >= 4, "left padding must not change what is written"
    assert list(Writer(model, tokenizer, 16, 2, stop=lambda: True).write(asks)) == []
