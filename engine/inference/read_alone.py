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
    read = written[:LONGEST]
    with torch.inference_mode():
        ids_1L = torch.tensor([prompt + read], device=model.device)
        logits_LV = model(input_ids=ids_1L, logits_to_keep=len(read) + 1).logits[0, :-1]
    return bool((logits_LV.argmax(dim=-1) == ids_1L[0, len(prompt) :]).all())
