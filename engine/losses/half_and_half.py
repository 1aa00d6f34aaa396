"""Label and rationale, half each (Distilling Step-by-Step, Hsieh et al. 2023, arXiv 2305.02301)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.losses.base import LOSSES, Loss
from engine.losses.parts import mean_by_part

HALF_AND_HALF = "half-and-half"


def of(model: Any, batch: Mapping[str, Any], likelihood: Callable[[], Any]) -> Any:
    """alpha * label + (1 - alpha) * rationale, alpha .5 (Hsieh et al. 2023); of a batch with one of them, that one."""
    means = mean_by_part(batch)
    label, others = means.pop(0, None), list(means.values())
    if not others:
        return label
    rationale = sum(others) / len(others)
    return rationale if label is None else 0.5 * label + 0.5 * rationale


_HELP = "Label and rationale, each a mean over its own tokens."
LOSSES.add(HALF_AND_HALF, Loss("label and rationale, half each", _HELP, of, by_part=True))
