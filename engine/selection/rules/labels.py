"""What happens to a query whose retained samples differ in label; the paper leaves it open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from engine.selection.arrays import CODES, TOLERANCE, Bools, Floats, SelectionInput, find_differing
from engine.selection.rules.base import RULES, Rule, Stage, State
from engine.values import Reason

_NAME: Final = "labels"
_BLOCK = 8192
"""Samples whose labels are counted together."""


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
        all_ = np.ones(len(state.stays), dtype=bool)
        agreed = ~find_differing(state.samples, np.flatnonzero(all_))[state.samples.query]
        wins = agreed if self.disagreement == "drop" else agreed | _in_majority(state.samples, all_)
        return np.asarray(wins, dtype=np.float64)

    def apply(self, state: State) -> State:
        """Reject by the policy. A majority is over half of the query's teachers among what stays."""
        rows = np.flatnonzero(state.stays)
        if self.disagreement == "keep" or not len(rows):
            return state
        differ, query = find_differing(state.samples, rows), state.samples.query[rows]
        unsettled = differ[query]
        if not unsettled.any():
            return state
        query, rows = query[unsettled], rows[unsettled]
        wins = np.zeros(len(rows), dtype=bool)
        if self.disagreement == "majority":
            of_unsettled = np.zeros(len(state.stays), dtype=bool)
            of_unsettled[rows] = True
            wins = _in_majority(state.samples, of_unsettled)[rows]
        settled = np.bincount(query, wins, len(differ)) > 0
        reason = np.full(len(state.stays), CODES[Reason.LABELS_DISAGREE])
        reason[rows[settled[query]]] = CODES[Reason.LABEL_MINORITY]
        losing = np.zeros(len(state.stays), dtype=bool)
        losing[rows[~wins]] = True
        return state.reject(losing, reason)


def _in_majority(samples: SelectionInput, wanted: Bools) -> Bools:
    """Whether over half of a query's teachers give the row's label, of the rows of a mask, (N,); False elsewhere.

    A teacher's draws share its one vote.
    """
    groups = samples.group(wanted)
    wins = np.zeros(len(samples.query), dtype=bool)
    wins[groups.rows[groups.begins[groups.sizes == 1]]] = True
    for block in groups.alike(_BLOCK):
        teacher_KG, label_KG = samples.teacher[block.rows], samples.label[block.rows]
        same_KKG = teacher_KG[:, None] == teacher_KG
        again_KG = (same_KKG & np.tri(len(teacher_KG), k=-1, dtype=bool)[:, :, None]).any(axis=1)
        share_KG = 1.0 / same_KKG.sum(axis=1)
        votes_KG = ((label_KG[:, None] == label_KG) * share_KG).sum(axis=1)
        wins[block.rows] = 2 * votes_KG > (~again_KG).sum(axis=0) + TOLERANCE
    return wins


RULES.add(_NAME, Labels)
