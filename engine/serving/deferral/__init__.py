"""Deferral rules: whether a rung of the ladder answers, or the next one is asked."""

from engine.registry import import_variants
from engine.serving.deferral.base import DEFERRALS, NEVER, DeferralRule, read_deferral

__all__ = ["DEFERRALS", "NEVER", "DeferralRule", "read_deferral"]

import_variants(__name__, __path__)
