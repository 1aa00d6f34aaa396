"""The datasets that train steps fit, and how their rows are encoded."""

from engine.datasets import compressed, full, label
from engine.datasets.base import DATASETS, DatasetKind, Materials, Text

__all__ = ["DATASETS", "DatasetKind", "Materials", "Text", "compressed", "full", "label"]
