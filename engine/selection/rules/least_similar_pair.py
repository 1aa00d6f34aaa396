"""Least similar pair: the diversity criterion of Dual-Criteria Rejection Sampling (TwT, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final, Literal, NamedTuple

import numpy as np
from pydantic import Field

from engine.selection.arrays import (
    CODES,
    Bools,
    Floats,
    Ints,
    SelectionInput,
    count_distinct,
    count_within,
    group_rows,
    place_within,
)
from engine.selection.cosines import Groups
from engine.selection.rules.base import RULES, VECTORS, Rule, Stage, State
from engine.values import Reason

_NAME: Final = "least-similar-pair"
_DECIMALS = 6
_MOST = 2
"""Samples of a query that are kept."""
_UNKNOWN = 2.0
"""What stands for a cosine that is not known when pairs are compared: more than any other."""


class LeastSimilarPair(Rule):
    """Of each query keep the two samples of different teachers whose rationales are least alike.

    `few` says what happens to a query with fewer than three teachers among what was retained, which the paper leaves
    open.
    """

    title: ClassVar[str] = "least similar pair"
    help: ClassVar[str] = "Keeps of each query the two rationales of different teachers that are least alike."
    stage: ClassVar[Stage] = Stage.DIVERSITY
    needs: ClassVar[frozenset[str]] = frozenset({VECTORS})
    choices: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "few": {"keep": "keep them", "require_three": "drop the query"},
    }

    kind: Literal["least-similar-pair"] = _NAME
    few: Literal["keep", "require_three"] = Field("keep", title="Where fewer than three teachers are left")

    def apply(self, state: State) -> State:
        """Of what stays, where more than two samples were retained, keep the pair; ties go to the smaller ids."""
        groups = state.samples.group(state.stays)
        if not len(groups.rows):
            return state
        samples, rows = state.samples, groups.rows
        reason, similarity = state.reason.copy(), state.similarity.copy()
        stays = state.stays.copy()
        reason[rows] = CODES[Reason.KEPT_FEW]
        query_G = samples.query[rows[groups.begins]]
        teachers_G = count_within(groups, samples.teacher)
        paired_G, crowd_G = teachers_G >= 2, (teachers_G == 1) & (groups.sizes > _MOST)
        paired_G &= np.bincount(samples.query[state.retained])[query_G] > _MOST
        if self.few == "require_three":
            short_G = _count_teachers(samples, state.retained)[query_G] < 3
            short = rows[np.repeat(short_G, groups.sizes)]
            reason[short], stays[short] = CODES[Reason.TOO_FEW_TEACHERS], False
            paired_G, crowd_G = paired_G & ~short_G, crowd_G & ~short_G
        of_pairs, of_crowds = (rows[np.repeat(mask_G, groups.sizes)] for mask_G in (paired_G, crowd_G))
        pairs = _find_pairs(samples, group_rows(of_pairs, samples.query))
        ranked = _rank(state, of_crowds)
        going = ranked[place_within(samples.query[ranked]) >= _MOST]
        for left_out in (of_pairs, going):
            reason[left_out], stays[left_out] = CODES[Reason.NOT_IN_PAIR], False
        for side in (pairs.left, pairs.right):
            reason[side], stays[side], similarity[side] = CODES[Reason.KEPT_PAIR], True, pairs.cosine
        return replace(state, reason=reason, similarity=similarity, stays=stays)


def _count_teachers(samples: SelectionInput, rows: Bools) -> Ints:
    """How many teachers the rows of a mask (N,) are of, by the index of the query."""
    return count_distinct(samples.query[rows], samples.teacher[rows])


def _rank(state: State, rows: Ints) -> Ints:
    """Rows by query, the most confident ones first, then those of the smaller ids."""
    samples = state.samples
    return rows[np.lexsort((samples.order[rows], -state.confidence[rows], samples.query[rows]))]


class _Pairs(NamedTuple):
    left: Ints
    right: Ints
    cosine: Floats


def _find_pairs(samples: SelectionInput, groups: Groups) -> _Pairs:
    """The pair of different teachers of each group with the smallest cosine, each of shape (G,).

    The rows of a group stand by their ids, so that the first pair of equal cosine is the one of the smaller ids.
    """
    cosine = samples.cosines.within(groups)
    lefts, rights, least = [], [], []
    for block in groups.alike():
        own_PG, teacher_KG = cosine[block.pairs], samples.teacher[block.rows]
        compared_PG = np.nan_to_num(np.round(own_PG, _DECIMALS), nan=_UNKNOWN)
        compared_PG[teacher_KG[block.left] == teacher_KG[block.right]] = np.inf
        best_G, group_G = compared_PG.argmin(axis=0), np.arange(block.rows.shape[1])
        lefts.append(block.rows[block.left[best_G], group_G])
        rights.append(block.rows[block.right[best_G], group_G])
        least.append(own_PG[best_G, group_G].astype(np.float64))
    if not least:
        return _Pairs(groups.rows, groups.rows, np.empty(0))
    return _Pairs(np.concatenate(lefts), np.concatenate(rights), np.concatenate(least))


RULES.add(_NAME, LeastSimilarPair)
