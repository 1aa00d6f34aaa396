"""The sum of the losses of all tasks (TinyLLM, Tian et al. 2024, arXiv 2402.04616)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.losses.base import LOSSES, Loss
from engine.losses.parts import mean_by_part

SUM_OF_TASKS = "sum-of-tasks"


def of(model: Any, batch: Mapping[str, Any], likelihood: Callable[[], Any]) -> Any:
    """The label's loss plus one a teacher, all of weight 1 (Tian et al. 2024)."""
    return sum(mean_by_part(batch).values())


_HELP = "Label and each teacher's rationale, each a mean over its own tokens."
LOSSES.add(SUM_OF_TASKS, Loss("sum over tasks", _HELP, of, by_part=True))
