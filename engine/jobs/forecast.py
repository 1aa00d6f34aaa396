"""Measures what a training will take: lengths of all rows, a few updates and words on the device (worker only)."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from engine.dataset import Encoded, encode_row, row_from_json
from engine.errors import StateError
from engine.infer import Ask, Device, Writer, load_tokenizer, pick_device
from engine.jobs.spec import ForecastJob, ForecastStep, read_lines
from engine.ports import EventSink
from engine.train.sft import StageJob, open_adapter
from engine.types import StageRow

_UPDATES = 2
_WORDS = 12
_PROMPTS = 4
_SHOWN = 20


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
    model = open_adapter(StageJob("forecast", job.student, job.steps[0].train, (), None, Path()), device)
    speed = _measure_updates(model, tokenizer, device, measured)
    sink.emit("progress", step="measures writing", done=2, of=3)
    asks = [Ask(a["query_id"], tuple((str(r), str(t)) for r, t in a["prompt"])) for a in read_lines(job.asks)]
    writer = Writer(model, tokenizer, _WORDS, job.student.generate_batch)
    began = time.perf_counter()
    wrote = sum(generation.tokens for generation in writer.write(asks[:_PROMPTS]))
    seconds = time.perf_counter() - began
    sink.emit(
        "measured",
        device=device.name,
        dtype=str(device.dtype).removeprefix("torch."),
        steps=[told for told, _, _ in measured],
        train_tokens_per_second=round(speed, 1),
        write_tokens_per_second=round(wrote / seconds, 1) if wrote else None,
        peak_bytes=_peak(device),
    )


_Measured = tuple[dict[str, Any], list[Encoded], ForecastStep]


def _measure_rows(tokenizer: Any, step: ForecastStep) -> _Measured:
    rows: list[StageRow] = [row_from_json(row) for row in read_lines(step.file)]
    encoded = [encode_row(tokenizer, row, step.train.mask_prompt) for row in rows]
    fitting = [row for row in encoded if len(row.input_ids) <= step.train.max_tokens]
    if not fitting:
        raise StateError(f"{step.name}: no row of {len(rows)} fits into {step.train.max_tokens} tokens")
    long = [
        {"query": row.prompt[-1][1][:200], "tokens": len(code.input_ids)}
        for row, code in zip(rows, encoded, strict=True)
        if len(code.input_ids) > step.train.max_tokens
    ]
    told = {
        "name": step.name,
        "rows": len(fitting),
        "tokens": sum(len(row.input_ids) for row in fitting),
        "longest": max(len(row.input_ids) for row in encoded),
        "dropped": len(long),
        "too_long": sorted(long, key=lambda row: -int(str(row["tokens"])))[:_SHOWN],
    }
    return told, fitting, step


def _measure_updates(model: Any, tokenizer: Any, device: Device, measured: Sequence[_Measured]) -> float:
    """Tokens a second of an update on a middling batch, after one on the longest rows, which sets the peak."""
    _, rows, step = max(measured, key=lambda found: found[0]["longest"])
    ranked = sorted(rows, key=lambda row: len(row.input_ids))
    size = step.train.batch_size
    middle = max(0, len(ranked) // 2 - size // 2)
    update = _make_update(model, tokenizer, device)
    update(ranked[-size:])
    batch = ranked[middle : middle + size]
    began = time.perf_counter()
    for _ in range(_UPDATES):
        update(batch)
    return _UPDATES * sum(len(row.input_ids) for row in batch) / (time.perf_counter() - began)


def _make_update(model: Any, tokenizer: Any, device: Device) -> Callable[[Sequence[Encoded]], None]:
    """One forward and backward pass and a step of the optimizer."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    model.train()

    def update(batch: Sequence[Encoded]) -> None:
        width = max(len(row.input_ids) for row in batch)
        pad = tokenizer.pad_token_id
        ids = [row.input_ids + [pad] * (width - len(row.input_ids)) for row in batch]
        labels = [row.labels + [-100] * (width - len(row.labels)) for row in batch]
        mask = [[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in batch]
        named = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        loss = model(**{name: torch.tensor(values, device=device.name) for name, values in named.items()}).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.name == "cuda":
            torch.cuda.synchronize()

    return update


def _peak(device: Device) -> int:
    if device.name == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
