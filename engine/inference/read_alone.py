"""Whether an answer that was written beside others is what its prompt alone leads to (worker only)."""

from __future__ import annotations

from typing import Any

import torch

LONGEST = 512
"""Of a longer answer only so many tokens are read: each needs the logits of the whole vocabulary."""


def repeats_alone(model: Any, prompt: list[int], written: list[int]) -> bool:
    """Whether each written token is the most probable one where prompt and answer are read by themselves, in one pass.

    Beside other rows sums are rounded in another order, which in 16 bits decides between tokens that are about as
    probable. Reading takes one forward pass where writing the answer anew, one token at a time, would take one a token;
    that may round in yet another order, so the two agree for most answers and not for all.
    """
    logits_LV = _read(model, prompt, written)
    return bool(logits_LV.argmax(dim=-1).tolist() == written[:LONGEST])


def read_log_probs(model: Any, prompt: list[int], written: list[int]) -> list[float]:
    """The log-prob of each written token, likewise."""
    logits_LV = _read(model, prompt, written).float()
    ids_L1 = torch.tensor(written[:LONGEST], device=logits_LV.device)[:, None]
    return [float(value) for value in logits_LV.log_softmax(dim=-1).gather(1, ids_L1)[:, 0]]


def _read(model: Any, prompt: list[int], written: list[int]) -> torch.Tensor:
    """The logits from which each written token came (L, V)."""
    read = written[:LONGEST]
    with torch.inference_mode():
        ids_1L = torch.tensor([prompt + read], device=model.device)
        logits_LV: torch.Tensor = model(input_ids=ids_1L, logits_to_keep=len(read) + 1).logits[0, :-1]
    return logits_LV
