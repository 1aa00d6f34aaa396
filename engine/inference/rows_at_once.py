"""How many prompts are written at the same time: at most as many as memory holds (worker only)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import torch

_SHARE = 0.8
"""Of the memory that is free, what is written may take so much."""
_COPIES = 2
"""A cache that is copied, as rows come and go, lies in memory twice."""
_LOGITS_BYTES = 12
"""Of each token of the vocabulary, a row: as the model gives them, and twice in 32 bits while one is picked."""
_GROUP = Path("/sys/fs/cgroup")


def fit_rows(model: Any, wanted: int, tokens: int, free: int) -> int:
    """The rows that fit, at most `wanted` and at least one; `wanted` where the model's shape is not known.

    Args:
        model: the student, on its device.
        wanted: how many were asked for.
        tokens: of the longest prompt together with what may be written behind it.
        free: bytes.
    """
    bytes_ = count_token_bytes(model)
    if bytes_ is None:
        return wanted
    row = _COPIES * tokens * bytes_ + _LOGITS_BYTES * int(model.config.get_text_config().vocab_size)
    return max(1, min(wanted, int(_SHARE * free) // row))


def count_token_bytes(model: Any) -> int | None:
    """What a cache holds of one token in bytes: keys and values of all layers; None where it can't be told."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    if not heads or not getattr(config, "num_hidden_layers", None):
        return None
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    return int(2 * config.num_hidden_layers * groups * width * model.dtype.itemsize)


def find_free_memory(device: str) -> int:
    """Bytes that are free on the device: of a GPU, or of this machine and its control group."""
    if device == "cuda":
        reserved = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return int(torch.cuda.mem_get_info()[0]) + int(reserved)
    if device == "mps":
        return int(torch.mps.recommended_max_memory()) - int(torch.mps.driver_allocated_memory())
    return int(min(psutil.virtual_memory().available, _find_group_rest(_GROUP)))


def _find_group_rest(folder: Path) -> float:
    """What a control group (version 2) may still take; infinite where it has no limit, or there is none."""
    try:
        most, taken = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return max(0, int(most) - int(taken))
    except (OSError, ValueError):
        return float("inf")
