"""The forecast measures what training does: the same trainer, the same loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import LoraSettings, StudentConfig, TrainConfig
from engine.datasets.full import rationale_rows
from engine.datasets.rows import Example, row_to_json, student_prompt
from engine.jobs.forecast import measure
from engine.jobs.spec import ForecastJob, ForecastStep
from engine.lines import write_lines
from engine.tasks import get_task
from engine.train.sft import CompletionTrainer, StageJob, train_stage
from engine.values import make_query

TASK = get_task("custom")


class Sink:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, type_: str, **data: Any) -> None:
        self.events.append((type_, data))


@pytest.mark.parametrize("mask_prompt", [True, False])
def test_the_forecast_takes_updates_of_trainings_own_loss(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask_prompt: bool
) -> None:
    torch.set_num_threads(1)
    student = StudentConfig(model=str(tiny_student), lora=LoraSettings(rank=2), generate_tokens=8, generate_batch=3)
    train = TrainConfig(
        updates=1, batch_size=4, learning_rate=1e-3, max_tokens=700, validation=0, mask_prompt=mask_prompt
    )
    queries = [make_query(f"What is {n} + {n}?") for n in range(4)]
    rows = rationale_rows(TASK, [Example(q, str(n), f"twice {n} is so", str(2 * n)) for n, q in enumerate(queries)])
    file = write_lines(tmp_path / "full.jsonl", map(row_to_json, rows))
    prompts = [{"query_id": q.id, "prompt": [list(turn) for turn in student_prompt(TASK, q)]} for q in queries]
    asks = write_lines(tmp_path / "asks.jsonl", prompts)
    losses: list[float] = []
    own = CompletionTrainer.compute_loss

    def watched(self: CompletionTrainer, *values: Any, **named: Any) -> Any:
        loss = own(self, *values, **named)
        losses.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(CompletionTrainer, "compute_loss", watched)
    sink = Sink()
    measure(ForecastJob(student=student, steps=(ForecastStep(name="full", file=file, train=train),), asks=asks), sink)
    seen, losses[:] = list(losses), []
    result = train_stage(StageJob("s", student, train, tuple(rows), None, tmp_path / "s"), Sink(), lambda: False)
    assert result.updates == 1 and len(seen) >= 2
    assert seen[0] == pytest.approx(losses[0], rel=1e-3), "the four rows are one batch, of a new adapter"
    told = next(data for type_, data in sink.events if type_ == "measured")
    assert told["train_tokens_per_second"] > 0 and told["write_tokens_per_second"] > 0
    assert not list(tmp_path.glob("checkpoint*"))


def test_fewer_rows_than_a_batch_are_measured_too(tiny_student: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    student = StudentConfig(model=str(tiny_student), lora=LoraSettings(rank=2), generate_tokens=8)
    query = make_query("What is 1 + 1?")
    rows = rationale_rows(TASK, [Example(query, "s", "one and one", "2")])
    file = write_lines(tmp_path / "full.jsonl", map(row_to_json, rows))
    asks = write_lines(
        tmp_path / "asks.jsonl", [{"query_id": "q", "prompt": [list(t) for t in student_prompt(TASK, query)]}]
    )
    sink = Sink()
    step = ForecastStep(name="full", file=file, train=TrainConfig(batch_size=8, max_tokens=700))
    measure(ForecastJob(student=student, steps=(step,), asks=asks), sink)
    assert sink.events[-1][1]["steps"][0]["rows"] == 1 and sink.events[-1][1]["train_tokens_per_second"] > 0
