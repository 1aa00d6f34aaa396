"""What a layer computes, with a backward pass by hand: fewer passes over memory than the steps recorded one by one.

Worker only; for frozen weights with a trained adapter beside them. Shapes: N tokens, D numbers each, M behind a layer,
R the adapter's rank, V vocabulary, T tokens that a loss is taken on.
"""

from __future__ import annotations

from typing import Any

import torch

_AT_ONCE = 256
"""So many tokens are projected to the vocabulary at a time: logits of a large batch need not stand in memory."""


def _exact(x: torch.Tensor) -> torch.dtype:
    """The number format that sums are taken in: float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


class AdaptedLinear(torch.autograd.Function):
    """x W' + b + s (x A') B', A and B trained, in the number format of x (LoRA, Hu et al. 2021, arXiv 2106.09685)."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, down: Any, up: Any, scale: float) -> Any:
        """Of x (..., D), W (M, D), b (M) or None, A (R, D), B (M, R) and s: (..., M)."""
        x_ND = x.reshape(-1, x.shape[-1])
        down_RD, up_MR = down.to(x.dtype), (up * scale).to(x.dtype)
        low_NR = x_ND @ down_RD.t()
        y_NM = torch.mm(x_ND, weight.t()) if bias is None else torch.addmm(bias, x_ND, weight.t())
        y_NM.addmm_(low_NR, up_MR.t())
        ctx.save_for_backward(x_ND, weight, down_RD, up_MR, low_NR)
        ctx.scale, ctx.shape, ctx.dtype = scale, x.shape, down.dtype
        return y_NM.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        """Gradients of x, A and B."""
        x_ND, weight, down_RD, up_MR, low_NR = ctx.saved_tensors
        grad_NM = grad.reshape(-1, grad.shape[-1])
        of_low_NR = grad_NM @ up_MR
        of_up = (grad_NM.t() @ low_NR).to(ctx.dtype).mul_(ctx.scale)
        of_down = (of_low_NR.t() @ x_ND).to(ctx.dtype)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = torch.mm(grad_NM, weight).addmm_(of_low_NR, down_RD).view(ctx.shape)
        return of_x, None, None, of_down, of_up, None


class RootMeanSquareNorm(torch.autograd.Function):
    """x / sqrt(mean(x^2) + epsilon) * weight (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, epsilon: float) -> Any:
        """Of x (..., D) and weight (D): (..., D)."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=_exact(x))
        inverse = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        normal = torch.mul(x, inverse).to(x.dtype)
        ctx.save_for_backward(normal, weight, inverse)
        return normal * weight

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        """The gradient of x; the weight is not trained."""
        normal, weight, inverse = ctx.saved_tensors
        of_normal = grad * weight
        along = (of_normal * normal).mean(-1, keepdim=True, dtype=_exact(grad))
        of_x = torch.sub(of_normal, torch.mul(normal, along)).mul_(inverse)
        return of_x.to(grad.dtype), None, None


class GatedUnit(torch.autograd.Function):
    """silu(gate) * up (SwiGLU, Shazeer 2020, arXiv 2002.05202)."""

    @staticmethod
    def forward(ctx: Any, gate: Any, up: Any) -> Any:
        """Of two (..., M): (..., M)."""
        ctx.save_for_backward(gate, up)
        return torch.nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        """Gradients of both."""
        gate, up = ctx.saved_tensors
        of_up = torch.nn.functional.silu(gate).mul_(grad)
        return torch.ops.aten.silu_backward(grad * up, gate), of_up


class TokenLosses(torch.autograd.Function):
    """Negative log-likelihood of each target, with a head that is not trained.

    The gradient is taken beside the loss, block by block, so no logits are kept.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Any, head: Any, targets: Any) -> Any:
        """Of hidden states (T, D), head (V, D) and targets (T,): losses (T,)."""
        losses_T = torch.empty(len(hidden), dtype=_exact(hidden))
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for begin in range(0, len(hidden), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            goal = targets[part, None]
            logits_TV = (hidden[part] @ head.t()).to(losses_T.dtype)
            total = logits_TV.logsumexp(-1, keepdim=True)
            losses_T[part] = (total - logits_TV.gather(1, goal))[:, 0]
            if of_hidden is not None:
                of_logits = logits_TV.sub_(total).exp_()
                of_logits.scatter_add_(1, goal, torch.full(goal.shape, -1.0, dtype=losses_T.dtype))
                of_hidden[part] = of_logits.to(hidden.dtype) @ head
        ctx.save_for_backward(of_hidden)
        return losses_T

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        """The gradient of the hidden states."""
        (of_hidden,) = ctx.saved_tensors
        return torch.mul(of_hidden, grad[:, None]).to(of_hidden.dtype), None, None
