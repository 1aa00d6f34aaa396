"""The rules of selection, applied one after the other; none at all keeps every sample."""

from engine.selection.rules import labels, least_similar_pair, threshold
from engine.selection.rules.base import CONFIDENCE, RULES, VECTORS, Rule, Stage, State, read_rule

__all__ = [
    "CONFIDENCE",
    "RULES",
    "VECTORS",
    "Rule",
    "Stage",
    "State",
    "labels",
    "least_similar_pair",
    "read_rule",
    "threshold",
]
