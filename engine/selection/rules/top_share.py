"""Top share: the most confident samples, so many of a hundred, of each teacher or of all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from engine.selection.arrays import CODES, TOLERANCE, Floats, place_within
from engine.selection.rules.base import CONFIDENCE, RULES, Rule, Stage, State
from engine.values import Reason

_NAME: Final = "top-share"


class TopShare(Rule):
    """Keep the top share by confidence of the samples that have one and that no rule before rejected.

    Within a teacher each keeps its own share, so that no teacher's scale counts against another's.
    """

    title: ClassVar[str] = "top share of confidence"
    help: ClassVar[str] = "Keeps the most confident share of the samples, of each teacher or of all."
    stage: ClassVar[Stage] = Stage.QUALITY
    needs: ClassVar[frozenset[str]] = frozenset({CONFIDENCE})
    choices: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "within": {"teacher": "of each teacher's samples", "all": "of all samples"}
    }

    kind: Literal["top-share"] = _NAME
    share: float = Field(0.5, ge=0, le=1, title="Top share")
    within: Literal["teacher", "all"] = Field("teacher", title="Share of what")

    def order(self, state: State) -> Floats:
        """The confidence."""
        return state.confidence

    def apply(self, state: State) -> State:
        """Keep a group's first ceil(share x size) by confidence; ties go to the smaller ids."""
        confidence = state.confidence
        reason = np.where(np.isnan(confidence), CODES[Reason.NO_CONFIDENCE], CODES[Reason.NOT_IN_TOP_SHARE])
        rows = np.flatnonzero(state.stays & ~np.isnan(confidence))
        whole = np.zeros(len(confidence), dtype=np.int64)
        group = state.samples.teacher if self.within == "teacher" else whole
        rows = rows[np.lexsort((state.samples.order[rows], -confidence[rows], group[rows]))]
        most = np.array([math.ceil(self.share * size - TOLERANCE) for size in np.bincount(group[rows])], dtype=np.int64)
        kept = np.zeros(len(confidence), dtype=bool)
        if len(rows):
            kept[rows[place_within(group[rows]) < most[group[rows]]]] = True
        return state.reject(~kept, reason)


RULES.add(_NAME, TopShare)
