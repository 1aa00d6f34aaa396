"""Grade: what a sample's own teacher graded it when it was asked again, apart from answering (TwT, Table 4)."""

from __future__ import annotations

import numpy as np

from engine.selection.arrays import Floats
from engine.selection.factors.base import FACTORS, Factor, Scored
from engine.values import GRADE


def score(given: Scored) -> Floats:
    """The factor of given samples, (N,)."""
    return np.asarray(np.clip(given.find(GRADE), 0.0, 1.0), dtype=np.float64)


FACTORS.add(
    "grade",
    Factor(
        "grade",
        "The teacher's own grade of its answer, 1 for Good, 0.5 for Medium, 0 for Poor; `tacit grade` asks for it.",
        score,
        evidence=GRADE,
    ),
)
