"""Least similar pair: the diversity criterion of Dual-Criteria Rejection Sampling (TwT, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final, Literal, NamedTuple

import numpy as np
from pydantic import Field

from engine.selection.arrays import (
    CODES,
    Floats,
    Ints,
    SelectionInput,
    cosine_of_pairs,
    count_distinct,
    pairs_within,
    place_within,
)
from engine.selection.rules.base import RULES, VECTORS, Rule, Stage, State
from engine.values import Reason

_NAME: Final = "least-similar-pair"
_DECIMALS = 6


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
        retained, settled = np.flatnonzero(state.retained), np.flatnonzero(state.stays)
        if not len(settled):
            return state
        samples, confidence = state.samples, state.confidence
        reason, similarity = state.reason.copy(), state.similarity.copy()
        size_Q = np.bincount(samples.query[retained])
        rows = settled[np.lexsort((samples.order[settled], samples.query[settled]))]
        query = samples.query[rows]
        teachers_Q = count_distinct(query, samples.teacher[rows])
        reason[rows] = CODES[Reason.KEPT_FEW]
        paired, crowd = (teachers_Q >= 2)[query], (teachers_Q == 1)[query]
        paired &= size_Q[query] > 2
        if self.few == "require_three":
            short = (count_distinct(samples.query[retained], samples.teacher[retained]) < 3)[query]
            reason[rows[short]] = CODES[Reason.TOO_FEW_TEACHERS]
            paired, crowd = paired & ~short, crowd & ~short
        reason[rows[paired]] = CODES[Reason.NOT_IN_PAIR]
        pairs = _find_pairs(samples, rows[paired], query[paired])
        for side in (pairs.left, pairs.right):
            reason[side] = CODES[Reason.KEPT_PAIR]
            similarity[side] = pairs.cosine
        ranked = rows[crowd][np.lexsort((samples.order[rows[crowd]], -confidence[rows[crowd]], query[crowd]))]
        reason[ranked[place_within(samples.query[ranked]) >= 2]] = CODES[Reason.NOT_IN_PAIR]
        going = state.stays & np.isin(reason, [CODES[Reason.NOT_IN_PAIR], CODES[Reason.TOO_FEW_TEACHERS]])
        return replace(state, reason=reason, similarity=similarity, stays=state.stays & ~going)


class _Pairs(NamedTuple):
    left: Ints
    right: Ints
    cosine: Floats


def _find_pairs(samples: SelectionInput, rows: Ints, group: Ints) -> _Pairs:
    """The pair of each group with the smallest cosine, all groups at once, each of shape (P,).

    `rows` must be sorted by group, then by id, so that the first pair of equal cosine is the one of the smaller ids.
    """
    if not len(rows):
        return _Pairs(rows, rows, np.empty(0))
    lefts, rights, cosines = [], [], []
    for left, right in pairs_within(samples.teacher[rows], group):
        lefts.append(left)
        rights.append(right)
        cosines.append(cosine_of_pairs(samples.embeddings, rows[left], rows[right]))
    left, right, cosine = np.concatenate(lefts), np.concatenate(rights), np.concatenate(cosines)
    ranked = np.lexsort((right, left, np.round(cosine, _DECIMALS), group[left]))
    first = ranked[np.unique(group[left][ranked], return_index=True)[1]]
    return _Pairs(rows[left[first]], rows[right[first]], cosine[first].astype(np.float64))


RULES.add(_NAME, LeastSimilarPair)
