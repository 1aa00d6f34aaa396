"""Makes the first pass of a process round as all later ones do. Import only inside a worker: this brings torch."""

from __future__ import annotations

from functools import cache

import torch

_FUNCTIONS = (
    *(torch.acos, torch.asin, torch.atan, torch.cos, torch.sin, torch.tan, torch.tanh),
    *(torch.erf, torch.erfc, torch.exp, torch.expm1, torch.log, torch.log10, torch.log1p, torch.log2),
    *(torch.sqrt, torch.ceil, torch.floor, torch.round, torch.trunc),
)


@cache
def choose_math_kernels() -> None:
    """Call each elementwise function once, on one number, before two threads can call it at the same time.

    The CPU's math library chooses a kernel for a function at its first call. Where several threads make that call
    together, one of them may get a kernel of low accuracy for its share of the numbers
    (https://github.com/pytorch/pytorch/issues/188792): the cosines of the positions differ in their last bit, and
    a student's answers with them.
    """
    for dtype in (torch.float32, torch.float64):
        one = torch.full((1,), 0.5, dtype=dtype)
        for function in _FUNCTIONS:
            function(one)
