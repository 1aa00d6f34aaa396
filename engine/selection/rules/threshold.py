"""Threshold: the quality criterion of Dual-Criteria Rejection Sampling (TwT, section 3.2)."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from engine.selection.arrays import CODES, TOLERANCE, Bools, Floats, SelectionInput, count_distinct
from engine.selection.rules.base import CONFIDENCE, RULES, Rule, Stage, State
from engine.values import Reason

_NAME: Final = "threshold"


class Threshold(Rule):
    """Keep the samples whose confidence reaches a bound; the default is the paper's."""

    title: ClassVar[str] = "threshold of confidence"
    help: ClassVar[str] = "Keeps samples whose weighted confidence reaches the threshold."
    stage: ClassVar[Stage] = Stage.QUALITY
    needs: ClassVar[frozenset[str]] = frozenset({CONFIDENCE})

    kind: Literal["threshold"] = _NAME
    threshold: float = Field(0.95, ge=0, le=1, title="Threshold of confidence")

    @property
    def cut(self) -> float:
        """The threshold."""
        return self.threshold

    def order(self, state: State) -> Floats:
        """The confidence."""
        return state.confidence

    def apply(self, state: State) -> State:
        """Keep where confidence >= threshold (within `TOLERANCE`)."""
        confidence = state.confidence
        passed = np.nan_to_num(confidence, nan=-1.0) >= self.threshold - TOLERANCE
        unknown = np.isnan(confidence)
        reason = np.where(unknown, CODES[Reason.NO_CONFIDENCE], CODES[Reason.BELOW_THRESHOLD])
        if state.by_agreement and not passed.all():
            reason[_two_that_differ(state.samples) & ~passed & ~unknown] = CODES[Reason.TEACHERS_DIFFER]
        return state.reject(~passed, reason)


def _two_that_differ(samples: SelectionInput) -> Bools:
    """Where a query has exactly two teachers, and the other one never gives this sample's label, (N,)."""
    teachers = count_distinct(samples.query, samples.teacher)
    _, cell = np.unique(samples.query * (int(samples.label.max()) + 1) + samples.label, return_inverse=True)
    voters = count_distinct(cell, samples.teacher)
    return np.asarray((teachers[samples.query] == 2) & (voters[cell] == 1))


RULES.add(_NAME, Threshold)
