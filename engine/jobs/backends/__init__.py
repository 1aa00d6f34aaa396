"""Backends: where workers run."""

from engine.jobs.backends.base import BACKENDS, Backend, Outcome
from engine.registry import import_variants

__all__ = ["BACKENDS", "Backend", "Outcome"]

import_variants(__name__, __path__)
