"""One bound on the student's own confidence, for all queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from engine.serving.deferral.base import DEFERRALS, NEVER, NEVER_SAID, REST, DeferralRule, Floats, list_quantiles

_NAME: Final = "confidence"


class Confidence(DeferralRule):
    """Answer where the geometric mean probability of the label's tokens reaches a threshold; None: never asked."""

    title: ClassVar[str] = "Confidence threshold"
    help: ClassVar[str] = "Answers where the student's own confidence reaches one threshold."

    kind: Literal["confidence"] = _NAME
    threshold: float | None = Field(None, ge=0, le=1, title="Confidence threshold")

    def find_bars(self, kinds: Sequence[str | None]) -> Floats:
        """The threshold, for every query."""
        return np.full(len(kinds), NEVER if self.threshold is None else self.threshold)

    def say(self) -> str:
        """The bound in words."""
        return NEVER_SAID if self.threshold is None else f"where its confidence is {self.threshold:.3f} or more"

    @classmethod
    def list_levels(cls, sure: Floats) -> list[float]:
        """Quantiles of the confidences."""
        return list_quantiles(sure)

    @classmethod
    def fit(cls, bars: Mapping[str, float], temperature: float | None) -> Confidence:
        """The rule with the one bar that is there."""
        bar = bars[REST]
        return cls(threshold=None if bar == NEVER else bar)


DEFERRALS.add(_NAME, Confidence)
