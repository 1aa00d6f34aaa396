"""The factors of confidence that selection computes itself."""

from engine.registry import import_variants
from engine.selection.factors.base import FACTORS, Factor, Scored

__all__ = ["FACTORS", "Factor", "Scored"]

import_variants(__name__, __path__)
