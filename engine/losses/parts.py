"""Losses over parts of a batch: each part's mean over its own tokens, summed with weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mean_by_part(batch: Mapping[str, Any]) -> dict[int, Any]:
    """The mean negative log-likelihood of each part's tokens, by the part's number; 0 is the label task."""
    losses_T, rows_T = batch["token_losses"]()
    parts_T = batch["part"][rows_T]
    return {int(part): losses_T[parts_T == part].mean() for part in parts_T.unique()}
