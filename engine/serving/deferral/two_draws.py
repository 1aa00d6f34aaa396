"""Agreement of two draws: a rung answers where a second, sampled draw states the label of its greedy answer.

Self-consistency (Wang et al. 2023, arXiv 2203.11171) as the signal of a cascade (Yue et al. 2024, arXiv 2310.03094,
where several sampled answers vote; here one is compared with the greedy answer, which is the one that is given).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from engine.second_draws import HOTTEST, TEMPERATURE
from engine.serving.deferral.base import DEFERRALS, NEVER, NEVER_SAID, REST, UNKNOWN, UNREAD, DeferralRule, Floats

_NAME: Final = "two-draws"
_AGREE = 1.0


class TwoDraws(DeferralRule):
    """Answer where both draws state the same label. A greedy answer without one goes on, and is not drawn again."""

    title: ClassVar[str] = "Agreement of two draws"
    help: ClassVar[str] = "Answers where a second, sampled draw states the same label; each answer takes two."
    draws_twice: ClassVar[bool] = True

    kind: Literal["two-draws"] = _NAME
    asked: bool = Field(True, title="Is asked at all")
    temperature: float = Field(TEMPERATURE, gt=0, le=HOTTEST, title="Temperature of the second draw")

    @property
    def second_draw(self) -> float | None:
        """Its temperature."""
        return self.temperature

    @classmethod
    def weigh(cls, confidence: Floats, agrees: Floats) -> Floats:
        """1 where both draws agree; an answer without a second draw is not sure."""
        return np.where(confidence <= UNREAD, UNREAD, np.where(agrees == _AGREE, _AGREE, UNKNOWN))

    def find_bars(self, kinds: Sequence[str | None]) -> Floats:
        """Agreement, for every query."""
        return np.full(len(kinds), _AGREE if self.asked else NEVER)

    def say(self) -> str:
        """The rule in words."""
        return f"where a second draw at temperature {self.temperature:g} agrees" if self.asked else NEVER_SAID

    @classmethod
    def list_levels(cls, sure: Floats) -> list[float]:
        """Not asked, or what agrees."""
        return [NEVER, _AGREE]

    @classmethod
    def fit(cls, bars: Mapping[str, float], temperature: float | None) -> TwoDraws:
        """The rule at the temperature that it was measured at."""
        return cls(asked=bars[REST] != NEVER, temperature=TEMPERATURE if temperature is None else temperature)


DEFERRALS.add(_NAME, TwoDraws)
