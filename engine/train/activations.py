"""Whether a GPU holds all activations of an update, or computes them anew in the backward pass. Worker only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from engine.datasets.encode import Encoded
from engine.train.batches import fill_batch

_SHARE = 0.85
"""Of the memory that is free beside the model, an update may take so much: the allocator leaves gaps."""


def fit_activations(model: Any, rows: Sequence[Encoded], size: int, pad: int, device: str) -> bool:
    """Whether an update on the longest rows fits without gradient checkpointing, which costs a second forward pass.

    Takes one forward and backward pass on CUDA; nothing is learned from it. Elsewhere activations are always kept.

    Args:
        model: the PEFT model, on its device.
        rows: all that is trained on; the `size` longest are tried.
        size: rows of a batch of one process.
        pad: the id that fills up shorter rows.
        device: the device's name.
    """
    if device != "cuda":
        return True
    longest = sorted(rows, key=lambda row: -len(row.input_ids))[:size]
    batch = _pad(fill_batch(longest, size), pad, device)
    free = torch.cuda.mem_get_info()[0]
    allocated = int(torch.cuda.memory_allocated())

    def update() -> int:
        torch.cuda.reset_peak_memory_stats()
        with torch.random.fork_rng(), torch.autocast(device, dtype=_number_format(model)):
            model(**batch, use_cache=False).loss.backward()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated()) - allocated

    try:
        return is_enough(update, free)
    finally:
        model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()


def is_enough(update: Callable[[], int], free: int) -> bool:
    """Whether an update, which gives the bytes it took, runs in the free ones and leaves some of them."""
    try:
        return update() <= _SHARE * free
    except torch.OutOfMemoryError:
        return False


def _pad(rows: Sequence[Encoded], pad: int, device: str) -> dict[str, torch.Tensor]:
    """Ids, mask and labels of rows, (B, L) each; the labels are all ids, so that no position is spared."""
    of_rows = [torch.tensor(row.input_ids, device=device) for row in rows]
    ids = pad_sequence(of_rows, batch_first=True, padding_value=pad)
    mask = pad_sequence([torch.ones_like(ids) for ids in of_rows], batch_first=True)
    return {"input_ids": ids, "attention_mask": mask, "labels": ids}


def _number_format(model: Any) -> torch.dtype:
    """That of the base model's weights."""
    dtype: torch.dtype = model.get_base_model().dtype
    return dtype
