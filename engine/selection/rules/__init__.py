"""The rules of selection, applied one after the other; none at all keeps every sample."""

from engine.registry import import_variants
from engine.selection.rules.base import (
    CONFIDENCE,
    COSTS,
    EVIDENCE,
    RULES,
    VECTORS,
    MissingRule,
    Rule,
    Stage,
    State,
    read_rule,
)

__all__ = [
    "CONFIDENCE",
    "COSTS",
    "EVIDENCE",
    "RULES",
    "VECTORS",
    "MissingRule",
    "Rule",
    "Stage",
    "State",
    "read_rule",
]

import_variants(__name__, __path__)
