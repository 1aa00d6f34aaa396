"""Format: whether a reply holds a rationale at all."""

from __future__ import annotations

import numpy as np

from engine.selection.arrays import Floats
from engine.selection.factors.base import FACTORS, Factor, Scored


def score(given: Scored) -> Floats:
    """1 where a rationale was given, 0 where it is empty, (N,)."""
    return np.fromiter((bool(text.strip()) for text in given.texts()), np.float64)


FACTORS.add("format", Factor("format", "1 where a rationale was given, 0 where it is empty.", score))
