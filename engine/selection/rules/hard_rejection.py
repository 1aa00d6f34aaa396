"""Hard rejection: teachers grade their own answers Good, Medium or Poor, and Good ones are kept (TwT, Table 4)."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np

from engine.selection.arrays import CODES, TOLERANCE, Floats
from engine.selection.rules.base import EVIDENCE, RULES, Rule, Stage, State
from engine.values import GRADE, Reason

_NAME: Final = "hard-rejection"
_GOOD = 1.0


class HardRejection(Rule):
    """Keep the samples that their own teacher graded Good; what nobody graded is not kept."""

    title: ClassVar[str] = "hard rejection"
    help: ClassVar[str] = "Keeps answers that their own teacher graded Good, asked apart (`tacit grade`)."
    stage: ClassVar[Stage] = Stage.QUALITY
    needs: ClassVar[frozenset[str]] = frozenset({EVIDENCE})

    kind: Literal["hard-rejection"] = _NAME

    def order(self, state: State) -> Floats:
        """The grade."""
        return state.samples.find(GRADE)

    def apply(self, state: State) -> State:
        """Reject what is graded lower, or not at all."""
        grade = state.samples.find(GRADE)
        reason = np.where(np.isnan(grade), CODES[Reason.NOT_GRADED], CODES[Reason.GRADED_LOWER])
        return state.reject(~(np.nan_to_num(grade, nan=-1.0) >= _GOOD - TOLERANCE), reason)


RULES.add(_NAME, HardRejection)
