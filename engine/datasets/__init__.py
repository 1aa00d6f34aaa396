"""The datasets that train steps fit, and how their rows are encoded."""

from engine.datasets.base import DATASETS, DatasetKind, Materials, Text
from engine.registry import import_variants

__all__ = ["DATASETS", "DatasetKind", "Materials", "Text"]

import_variants(__name__, __path__)
