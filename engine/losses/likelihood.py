"""Likelihood: the mean negative log-likelihood of the completion's tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.losses.base import LOSSES, Loss

LIKELIHOOD = "likelihood"


def of(model: Any, batch: Mapping[str, Any], likelihood: Callable[[], Any]) -> Any:
    """The trainer's own, which is fused or reads only the positions that count."""
    return likelihood()


LOSSES.add(LIKELIHOOD, Loss("likelihood", "Mean negative log-likelihood of the completion's tokens.", of))
