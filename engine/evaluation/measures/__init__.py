"""The measures that a report has."""

from engine.evaluation.measures.base import MEASURES, UNKNOWN, Measure, measure_all, show_values
from engine.registry import import_variants

__all__ = ["MEASURES", "UNKNOWN", "Measure", "measure_all", "show_values"]

import_variants(__name__, __path__)
