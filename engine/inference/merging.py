"""Merges a student's adapter into its base model in float32 (worker only)."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.config import StudentConfig
from engine.inference.writer import Device, load_student, load_tokenizer

_SMALL = 1_000_000_000
"""Up to this many weights a merged model stays in float32: in bfloat16 small updates would be rounded off."""


def merge(student: StudentConfig, adapter: Path, folder: Path) -> None:
    """Write the merged model and its tokenizer.

    Raises:
        MissingPart: if the base can't be loaded.
    """
    model = load_student(student, adapter, Device("cpu", torch.float32)).merge_and_unload()
    if sum(weight.numel() for weight in model.parameters()) > _SMALL:
        model = model.to(torch.bfloat16)
    model.save_pretrained(folder)
    load_tokenizer(student).save_pretrained(folder)
