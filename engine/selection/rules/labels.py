"""What happens to a query whose retained samples differ in label; the paper leaves it open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from engine.selection.arrays import CODES, TOLERANCE, Bools, Floats, Ints, SelectionInput, find_differing
from engine.selection.rules.base import RULES, Rule, Stage, State
from engine.values import Reason

_NAME: Final = "labels"


class Labels(Rule):
    """Settle whose samples stay where labels differ: all, those of the majority, or none."""

    title: ClassVar[str] = "labels that differ"
    help: ClassVar[str] = "Settles what stays of a query whose samples differ in label."
    stage: ClassVar[Stage] = Stage.LABELS
    choices: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "disagreement": {"keep": "keep all", "majority": "keep the majority's", "drop": "drop the query"}
    }

    kind: Literal["labels"] = _NAME
    disagreement: Literal["keep", "majority", "drop"] = Field("keep", title="Where labels differ")

    def order(self, state: State) -> Floats | None:
        """Whether all of the query give the label, or its majority, as the policy asks; "keep" orders nothing."""
        if self.disagreement == "keep" or not len(state.stays):
            return None
        rows = np.arange(len(state.stays))
        group, differ = find_differing(state.samples, rows)
        agreed = ~differ[group]
        wins = agreed if self.disagreement == "drop" else agreed | _in_majority(state.samples, rows)
        return np.asarray(wins, dtype=np.float64)

    def apply(self, state: State) -> State:
        """Reject by the policy. A majority is over half of the query's teachers among what stays."""
        rows = np.flatnonzero(state.stays)
        if self.disagreement == "keep" or not len(rows):
            return state
        group, differ = find_differing(state.samples, rows)
        unsettled = differ[group]
        if not unsettled.any():
            return state
        group, rows = group[unsettled], rows[unsettled]
        wins = np.zeros(len(rows), dtype=bool)
        if self.disagreement == "majority":
            wins = _in_majority(state.samples, rows)
        settled = np.bincount(group, wins, len(differ)) > 0
        reason = np.full(len(state.stays), CODES[Reason.LABELS_DISAGREE])
        reason[rows[settled[group]]] = CODES[Reason.LABEL_MINORITY]
        losing = np.zeros(len(state.stays), dtype=bool)
        losing[rows[~wins]] = True
        return state.reject(losing, reason)


def _in_majority(samples: SelectionInput, rows: Ints) -> Bools:
    """Whether over half of the query's teachers give the row's label; a teacher's draws share its one vote."""
    top, width = int(samples.teacher.max()) + 1, int(samples.label.max()) + 1
    seats, seat, draws = np.unique(
        samples.query[rows] * top + samples.teacher[rows], return_inverse=True, return_counts=True
    )
    teachers = np.bincount(seats // top)
    _, cell = np.unique(samples.query[rows] * width + samples.label[rows], return_inverse=True)
    votes = np.bincount(cell, 1.0 / draws[seat])
    return np.asarray(2 * votes[cell] > teachers[samples.query[rows]] + TOLERANCE)


RULES.add(_NAME, Labels)
