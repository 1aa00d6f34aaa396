"""Gives the modules of a student the passes of `layers`, where they compute the same. Worker only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from peft.tuners.lora.layer import Linear as LoraLinear

from engine.inference.layers import AdaptedLinear, GatedUnit, RootMeanSquareNorm

_OURS = "forward"
"""What a module holds itself, and not its class, once it was given another pass."""


def quicken(model: Any) -> list[Any]:
    """Give each module that it fits a quicker pass; those that were changed now, and hold a `forward` of their own.

    For models on the CPU. Adapters may be put on, off and aside later: a layer looks at each call what it is.
    """
    changed = []
    for module in model.modules():
        forward = None if _OURS in vars(module) else _find_forward(module)
        if forward is not None:
            module.forward = forward
            changed.append(module)
    return changed


def _find_forward(module: Any) -> Callable[..., Any] | None:
    """What a module computes, in fewer steps; None if it is something else."""
    if isinstance(module, LoraLinear):
        return partial(_adapted, module, _Rounded()) if _is_plain(module) else None
    if _is_gated_unit(module):
        return partial(_gated, module)
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    weight = getattr(module, "weight", None)
    if not isinstance(epsilon, float) or not isinstance(weight, torch.Tensor) or weight.requires_grad:
        return None
    normalise = partial(_normalise, module, epsilon)
    return normalise if weight.ndim == 1 and _is_same(module, normalise, weight) else None


def _is_plain(module: Any) -> bool:
    """Whether an adapted layer is nothing but W x + s B A x for each of its adapters."""
    frozen = not any(weight.requires_grad for weight in module.base_layer.parameters())
    biases = any(getattr(up, "bias", None) is not None for up in module.lora_B.values())
    return type(module.base_layer) is torch.nn.Linear and frozen and not biases and not module.fan_in_fan_out


def _is_gated_unit(module: Any) -> bool:
    parts = [getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
    modules = all(isinstance(part, torch.nn.Module) for part in parts)
    return modules and isinstance(getattr(module, "act_fn", None), torch.nn.SiLU)


def _is_same(module: Any, other: Callable[..., Any], weight: torch.Tensor) -> bool:
    """Whether both give the same for some numbers."""
    numbers = torch.linspace(-2, 3, 4 * len(weight), dtype=weight.dtype).view(4, -1)
    try:
        with torch.no_grad():
            return bool(torch.allclose(module(numbers), other(numbers), rtol=2**-6, atol=1e-6))
    except (RuntimeError, TypeError, ValueError):
        return False


class _Of(NamedTuple):
    """What weights were rounded from."""

    down: torch.Tensor
    up: torch.Tensor
    versions: tuple[int, int]
    scale: float
    dtype: torch.dtype


class _Rounded:
    """An adapter's weights in the base's number format, kept for as long as they are the same."""

    def __init__(self) -> None:
        self._of: _Of | None = None
        self._weights: tuple[torch.Tensor, torch.Tensor] | None = None

    def get(self, down: torch.Tensor, up: torch.Tensor, scale: float, dtype: torch.dtype) -> tuple[Any, Any]:
        """A' (D, R) and s B' (R, M)."""
        of = _Of(down, up, (down._version, up._version), scale, dtype)
        before = self._of
        same = before is not None and before.down is down and before.up is up and before[2:] == of[2:]
        if self._weights is None or not same:
            self._of, self._weights = of, (down.to(dtype).t(), (up * scale).to(dtype).t())
        return self._weights


def _adapted(module: Any, rounded: _Rounded, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    names = module.active_adapters
    plain = len(names) == 1 and names[0] in module.lora_A and not module.merged and not module.lora_variant
    if not plain or module.disable_adapters or args or kwargs or _drops(module, names[0]):
        return type(module).forward(module, x, *args, **kwargs)
    (name,) = names
    layer, down, up = module.base_layer, module.lora_A[name].weight, module.lora_B[name].weight
    if torch.is_grad_enabled():
        return AdaptedLinear.apply(x, layer.weight, layer.bias, down, up, module.scaling[name])
    low, high = rounded.get(down, up, module.scaling[name], x.dtype)
    x_ND = x.reshape(-1, x.shape[-1])
    y_NM = torch.nn.functional.linear(x_ND, layer.weight, layer.bias).addmm_(x_ND @ low, high)
    return y_NM.view(*x.shape[:-1], -1)


def _drops(module: Any, name: str) -> bool:
    return module.training and not isinstance(module.lora_dropout[name], torch.nn.Identity)


def _gated(module: Any, x: torch.Tensor) -> Any:
    return module.down_proj(GatedUnit.apply(module.gate_proj(x), module.up_proj(x)))


def _normalise(module: Any, epsilon: float, x: torch.Tensor) -> Any:
    return RootMeanSquareNorm.apply(x, module.weight, epsilon)
