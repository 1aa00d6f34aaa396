"""The rows of a batch without their padding: all tokens in one line, and attention that keeps the rows apart.

Worker only. Shapes: B rows of at most L tokens, T tokens in them all, N that number rounded up, H heads of D numbers, K
heads of keys and values, G = H / K heads of queries for each of those.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface

ATTENTION = "packed-rows"
"""The name of this attention among those of transformers."""
_ROUND = 64
"""The CPU's kernels are prepared anew for every shape; so the number of tokens is rounded up, to meet few of them."""


@dataclass(frozen=True)
class PackedRows:
    """A batch's tokens, row behind row; what is behind the last of them, up to N, is of no row and nobody reads it.

    ids_N and place_N: each token and its position in its row. at_T: where it stands in the padded (B * L).
    """

    ids_N: torch.Tensor
    place_N: torch.Tensor
    at_T: torch.Tensor
    rows: int
    width: int
    masks: dict[Any, torch.Tensor] = field(default_factory=dict, repr=False, compare=False)

    def spread(self, states: torch.Tensor) -> torch.Tensor:
        """States (N, heads, D) as (B, L, heads, D), zeros where there is padding."""
        heads, size = states.shape[1:]
        padded = states.new_zeros(self.rows * self.width, heads * size)
        padded.index_copy_(0, self.at_T, states[: len(self.at_T)].reshape(-1, heads * size))
        return padded.view(self.rows, self.width, heads, size)

    def gather(self, padded: torch.Tensor) -> torch.Tensor:
        """The inverse of `spread`, of (B, L, heads, D); zeros for the tokens of no row."""
        heads, size = padded.shape[2:]
        states = padded.new_zeros(len(self.ids_N), heads * size)
        states[: len(self.at_T)] = padded.reshape(-1, heads * size).index_select(0, self.at_T)
        return states.view(-1, heads, size)

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """What is added to the scores, (L, L): minus infinity for what comes later, or before a sliding window."""
        key = (window, dtype)
        if key not in self.masks:
            hidden = torch.ones(self.width, self.width, dtype=torch.bool).triu_(1)
            if window is not None:
                hidden |= torch.ones_like(hidden).tril_(-window)
            self.masks[key] = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, -torch.inf)
        return self.masks[key]


def pack_rows(ids_BL: torch.Tensor, mask_BL: torch.Tensor) -> PackedRows:
    """The tokens of a padded batch where its mask is 1."""
    taken_BL = mask_BL.bool()
    at_T = taken_BL.flatten().nonzero()[:, 0]
    count = -(-len(at_T) // _ROUND) * _ROUND
    ids_N, place_N = ids_BL.new_zeros(count), torch.zeros(count, dtype=torch.long)
    ids_N[: len(at_T)] = ids_BL[taken_BL]
    place_N[: len(at_T)] = (mask_BL.long().cumsum(dim=1) - 1)[taken_BL]
    return PackedRows(ids_N, place_N, at_T, *ids_BL.shape)


class _Attention(torch.autograd.Function):
    """Softmax of scaled scores within each row, times the values; backward from the weights that were kept."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, packed: PackedRows, scale: float, window: Any) -> Any:
        rows, width = packed.rows, packed.width
        heads, size = query.shape[1:]
        few = key.shape[1]
        queries = _by_group(packed.spread(query), few)
        keys = packed.spread(key).permute(0, 2, 1, 3).reshape(rows * few, width, size)
        values = packed.spread(value).permute(0, 2, 1, 3).reshape(rows * few, width, size)
        scores = torch.bmm(queries, keys.transpose(1, 2)).view(rows * few, heads // few, width, width)
        weights = torch.softmax(scores.mul_(scale).add_(packed.mask(window, scores.dtype)), -1)
        weights = weights.view(rows * few, -1, width)
        ctx.save_for_backward(queries, keys, values, weights)
        ctx.packed, ctx.scale = packed, scale
        return packed.gather(_by_token(torch.bmm(weights, values), rows, width))

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        queries, keys, values, weights = ctx.saved_tensors
        packed: PackedRows = ctx.packed
        rows, width = packed.rows, packed.width
        grad = _by_group(packed.spread(grad), len(keys) // rows)
        of_values = torch.bmm(weights.transpose(1, 2), grad)
        of_weights = torch.bmm(grad, values.transpose(1, 2))
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype).mul_(ctx.scale)
        of_queries, of_keys = torch.bmm(of_scores, keys), torch.bmm(of_scores.transpose(1, 2), queries)
        gathered = [packed.gather(_by_token(part, rows, width)) for part in (of_queries, of_keys, of_values)]
        return *gathered, None, None, None


def _by_group(padded: torch.Tensor, few: int) -> torch.Tensor:
    """(B, L, H, D) as (B * K, G * L, D): the queries of one head of keys together."""
    rows, width, heads, size = padded.shape
    parts = padded.view(rows, width, few, heads // few, size).permute(0, 2, 3, 1, 4)
    return parts.reshape(rows * few, -1, size)


def _by_token(grouped: torch.Tensor, rows: int, width: int) -> torch.Tensor:
    """The inverse of `_by_group`; of keys and values too, whose G is 1."""
    size, few = grouped.shape[2], len(grouped) // rows
    parts = grouped.view(rows, few, -1, width, size).permute(0, 3, 1, 2, 4)
    return parts.reshape(rows, width, -1, size)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    *,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it, of states (1, heads, N, D): (1, N, H, D), and no weights.

    Raises:
        ValueError: if the model asks for what is not done here: dropout, a soft cap, sinks, or rows that nobody packed.
    """
    packed = more.get("packed_rows")
    if packed is None or more.get("dropout") or any(more.get(name) is not None for name in ("softcap", "s_aux")):
        raise ValueError("this model's attention is not that of packed rows")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = more.get("sliding_window")
    states = (states[0].transpose(0, 1) for states in (query, key, value))
    return _Attention.apply(*states, packed, scale, window)[None], None


AttentionInterface.register(ATTENTION, attend)
