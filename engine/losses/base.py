"""What a loss is: what an update minimises, and which tokens it is taken on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.datasets.encode import Encoded, encode_row
from engine.registry import Registry
from engine.values import StageRow

Encode = Callable[[Any, StageRow, bool], Encoded]
"""(tokenizer, row, mask_prompt) -> token ids and the labels that a loss is taken on."""
Reckon = Callable[[Any, Mapping[str, Any], Callable[[], Any]], Any]
"""(model, batch, likelihood) -> a scalar tensor. `likelihood()` is the mean negative log-likelihood of the labels, of
which more is taken from the model where a loss needs it."""


@dataclass(frozen=True)
class Loss:
    """A loss of training: its title, a line of help, how rows become labels, and what is minimised.

    `by_part`: the batch tells the parts of its rows: `part` (B,), 0 for the label's, and `token_losses()`, which gives
    the negative log-likelihood of each token that is learned, (T,), and its row, (T,).
    """

    title: str
    help: str
    of: Reckon
    encode: Encode = encode_row
    by_part: bool = False


LOSSES: Registry[Loss] = Registry("losses", "loss")
