"""Merges a student's adapter into its base model in float32 (worker only)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.config import StudentConfig
from engine.inference.writer import Device, load_student, load_tokenizer

SMALL = 1_000_000_000
"""Up to this many weights a merged model stays in float32: in bfloat16 small updates would be rounded off."""


def load_merged(student: StudentConfig, adapter: Path | None) -> Any:
    """The merged model in float32, on the processor; without an adapter the base alone.

    Raises:
        MissingPart: if the base can't be loaded.
    """
    model = load_student(student, adapter, Device("cpu", torch.float32))
    return model if adapter is None else model.merge_and_unload()


def merge(student: StudentConfig, adapter: Path, folder: Path) -> None:
    """Write the merged model and its tokenizer.

    Raises:
        MissingPart: if the base can't be loaded.
    """
    model = load_merged(student, adapter)
    if sum(weight.numel() for weight in model.parameters()) > SMALL:
        model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    load_tokenizer(student).save_pretrained(folder)
