"""The losses that a train step can minimise."""

from engine.losses import likelihood
from engine.losses.base import LOSSES, Loss

__all__ = ["LOSSES", "Loss", "likelihood"]
