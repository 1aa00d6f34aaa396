"""Measures what a training will take: lengths of all rows, a few updates and words on the device (worker only)."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from engine.datasets.encode import Encoded
from engine.datasets.rows import row_from_json
from engine.errors import StateError
from engine.inference.writer import Device, Writer, WriteRequest, load_student, load_tokenizer, pick_device
from engine.jobs.context import JobContext
from engine.jobs.spec import ForecastJob, ForecastStep
from engine.lines import read_lines
from engine.losses import LOSSES
from engine.ports import EventSink
from engine.train.activations import fit_activations
from engine.train.batches import fill_batch
from engine.train.sft import CompletionTrainer, StageJob, _arguments, _as_dataset, open_adapter
from engine.values import StageRow

_UPDATES = 2
_WORDS = 16
_SHOWN = 20


def run(job: ForecastJob, context: JobContext) -> bool:
    """Measure; it can't be stopped in between."""
    measure(job, context.sink)
    return True


def measure(job: ForecastJob, sink: EventSink) -> None:
    """Emit one `measured` event.

    Its data: device; dtype; steps, each with name, rows, tokens (of one epoch), longest, and too_long (query and
    tokens of up to 20 rows) with their number `dropped`; train_tokens_per_second; write_tokens_per_second; peak_bytes
    (of the device, or of this process on the CPU).

    Raises:
        StateError: if no row of a step fits into its limit.
    """
    tokenizer = load_tokenizer(job.student)
    sink.emit("progress", step="measures lengths", done=0, of=3)
    measured = [_measure_rows(tokenizer, step) for step in job.steps]
    device = pick_device()
    sink.emit("progress", step="measures updates", done=1, of=3)
    speed = _measure_updates(job, tokenizer, device, measured)
    sink.emit("progress", step="measures writing", done=2, of=3)
    writing = _measure_writing(job, tokenizer, device)
    sink.emit(
        "measured",
        device=device.name,
        dtype=str(device.dtype).removeprefix("torch."),
        steps=[lengths for lengths, _, _ in measured],
        train_tokens_per_second=round(speed, 1),
        write_tokens_per_second=round(writing, 1) if writing else None,
        peak_bytes=_peak(device),
    )


_Measured = tuple[dict[str, Any], list[Encoded], ForecastStep]


def _measure_rows(tokenizer: Any, step: ForecastStep) -> _Measured:
    rows: list[StageRow] = [row_from_json(row) for row in read_lines(step.file)]
    encoded = [LOSSES.get(step.train.loss).encode(tokenizer, row, step.train.mask_prompt) for row in rows]
    fitting = [row for row in encoded if len(row.input_ids) <= step.train.max_tokens]
    if not fitting:
        raise StateError(f"{step.name}: no row of {len(rows)} fits into {step.train.max_tokens} tokens")
    long = [
        {"query": row.prompt[-1][1][:200], "tokens": len(code.input_ids)}
        for row, code in zip(rows, encoded, strict=True)
        if len(code.input_ids) > step.train.max_tokens
    ]
    lengths = {
        "name": step.name,
        "rows": len(fitting),
        "tokens": sum(len(row.input_ids) for row in fitting),
        "longest": max(len(row.input_ids) for row in encoded),
        "dropped": len(long),
        "too_long": sorted(long, key=lambda row: -int(str(row["tokens"])))[:_SHOWN],
    }
    return lengths, fitting, step


def _measure_updates(job: ForecastJob, tokenizer: Any, device: Device, measured: Sequence[_Measured]) -> float:
    """Tokens a second of an update on a middling batch, after one on the longest rows, which sets the peak.

    The updates are a training's own: its trainer, loss, precision, padding and checkpointing of activations.
    """
    _, rows, step = max(measured, key=lambda measurement: measurement[0]["longest"])
    ranked = sorted(rows, key=lambda row: len(row.input_ids))
    size = step.train.batch_size
    middle = max(0, len(ranked) // 2 - size // 2)
    batch = fill_batch(ranked[middle : middle + size], size)
    clock, loss = _Clock(), LOSSES.get(step.train.loss)
    with tempfile.TemporaryDirectory() as made:
        stage = StageJob("forecast", job.student, step.train, (), None, Path(made))
        model = open_adapter(stage, device)
        keeps = fit_activations(model, rows, size, tokenizer.pad_token_id, device.name)
        arguments = _arguments(stage, device, 1 + _UPDATES, False, keeps=keeps)
        arguments.set_save("no")
        trainer = CompletionTrainer(
            model=model,
            args=arguments,
            train_dataset=_as_dataset([*fill_batch(ranked[-size:], size), *batch * _UPDATES], loss.by_part),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.learn(loss)
        trainer.train()
    return _UPDATES * sum(len(row.input_ids) for row in batch) / (clock.ends[-1] - clock.ends[0])


class _Clock(TrainerCallback):  # type: ignore[misc]
    """When each update ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Wait for the device, then look at the clock."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def _measure_writing(job: ForecastJob, tokenizer: Any, device: Device) -> float | None:
    """Tokens a second that the untrained student writes, as many prompts at a time as a run's; None if it is silent."""
    asks = [WriteRequest(a["query_id"], tuple((str(r), str(t)) for r, t in a["prompt"])) for a in read_lines(job.asks)]
    writer = Writer(load_student(job.student, None, device), tokenizer, _WORDS, job.student.generate_batch)
    began = time.perf_counter()
    wrote = sum(generation.tokens for generation in writer.write(asks))
    return wrote / (time.perf_counter() - began) if wrote else None


def _peak(device: Device) -> int:
    if device.name == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
