"""A bound on the student's own confidence for each kind of query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from engine.serving.deferral.base import DEFERRALS, NEVER, NEVER_SAID, REST, DeferralRule, Floats, list_quantiles

_NAME: Final = "confidence-by-kind"


class ConfidenceByKind(DeferralRule):
    """Answer where the confidence reaches the threshold of the query's kind; kinds that have none are not asked."""

    title: ClassVar[str] = "Confidence threshold by kind"
    help: ClassVar[str] = "Answers where its confidence reaches the threshold of the query's kind, which callers name."
    by_kind: ClassVar[bool] = True

    kind: Literal["confidence-by-kind"] = _NAME
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field({}, title="Confidence threshold by kind")

    def find_bars(self, kinds: Sequence[str | None]) -> Floats:
        """The threshold of each query's kind."""
        return np.array([self.thresholds.get(kind or REST, NEVER) for kind in kinds], dtype=np.float64)

    def say(self) -> str:
        """The bound in words."""
        said = [f"{bar:.3f} ({kind or 'other kinds'})" for kind, bar in self.thresholds.items()]
        return f"where its confidence is {', '.join(said)} or more" if said else NEVER_SAID

    @classmethod
    def list_levels(cls, sure: Floats) -> list[float]:
        """Quantiles of the confidences."""
        return list_quantiles(sure)

    @classmethod
    def fit(cls, bars: Mapping[str, float], temperature: float | None) -> ConfidenceByKind:
        """The rule with these bars, without the kinds that are not asked."""
        return cls(thresholds={kind: bar for kind, bar in sorted(bars.items()) if bar != NEVER})


DEFERRALS.add(_NAME, ConfidenceByKind)
