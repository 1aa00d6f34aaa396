"""The measures that a report has."""

from engine.evaluation.measures.base import MEASURES, Measure, find_columns, measure_all
from engine.registry import import_variants

__all__ = ["MEASURES", "Measure", "find_columns", "measure_all"]

import_variants(__name__, __path__)
