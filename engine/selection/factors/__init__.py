"""The factors of confidence that selection computes itself."""

from engine.selection.factors import agreement, dawid_skene, format, weighted_agreement
from engine.selection.factors.base import FACTORS, Factor, Scored

__all__ = ["FACTORS", "Factor", "Scored", "agreement", "dawid_skene", "format", "weighted_agreement"]
