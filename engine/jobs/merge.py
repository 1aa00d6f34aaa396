"""Merges a student's adapter into its base model in float32, to a folder that loads by itself (worker only)."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from engine.errors import MissingPart
from engine.infer import Device, load_student, load_tokenizer
from engine.jobs.spec import MergeJob
from engine.ports import EventSink

_SMALL = 1_000_000_000
"""Up to this many weights a merged model stays in float32: in bfloat16 small updates would be rounded off."""


def merge(job: MergeJob, sink: EventSink) -> None:
    """Write the merged model, its tokenizer and what lies in `notes` to `output`, all of it or nothing.

    Raises:
        MissingPart: if there is no adapter, or the base can't be loaded.
    """
    output = Path(job.output)
    if output.is_dir():  # of an earlier try that came to its end
        return
    adapter = Path(job.adapter)
    if not (adapter / "adapter_config.json").is_file():
        raise MissingPart(f"there is no adapter in {adapter}")
    sink.emit("progress", step="merges", done=0, of=1)
    model = load_student(job.student, adapter, Device("cpu", torch.float32)).merge_and_unload()
    if sum(weight.numel() for weight in model.parameters()) > _SMALL:
        model = model.to(torch.bfloat16)
    part = output.with_name(f"{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    load_tokenizer(job.student).save_pretrained(part)
    for name, text in job.notes.items():
        (part / Path(name).name).write_text(text, "utf-8")
    part.rename(output)
    sink.emit("progress", step="merges", done=1, of=1)
