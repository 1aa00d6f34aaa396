"""The losses that a train step can minimise."""

from engine.losses.base import LOSSES, Loss
from engine.registry import import_variants

__all__ = ["LOSSES", "Loss"]

import_variants(__name__, __path__)
