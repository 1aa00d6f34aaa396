"""The measures that a report has."""

from engine.evaluation.measures.base import MEASURES, Measure
from engine.registry import import_variants

__all__ = ["MEASURES", "Measure"]

import_variants(__name__, __path__)
