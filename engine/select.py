"""DCRS, step 1 of the method: which samples make the distillation set, as pure functions on arrays.

The input has no place for a gold label. Shapes: N samples, F factors, D dimensions, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.config import SelectionConfig
from engine.errors import ConfigError
from engine.types import Reason

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE = 1e-9
"""A confidence may fall this far below the threshold: 0.95 in every factor can sum to just below 0.95."""

REASONS = tuple(Reason)
_CODE = {reason: code for code, reason in enumerate(REASONS)}
_CHUNK = 8192
_DECIMALS = 6


@dataclass(frozen=True)
class SelectionInput:
    """Samples as arrays, in any order.

    Attributes:
        query: index of the query, int64 (N,).
        teacher: index of the teacher, int64 (N,).
        label: code of the label, equal within a query exactly where the normalised labels are equal, int64 (N,).
        order: rank of the sample's id among all, distinct, int64 (N,); breaks ties.
        factors: scores in [0, 1], NaN where missing, float64 (N, F).
        names: the factors' names (F).
        embeddings: rationale vectors of any length, float32 (N, D).
    """

    query: Ints
    teacher: Ints
    label: Ints
    order: Ints
    factors: Floats
    names: tuple[str, ...]
    embeddings: NDArray[np.float32]


class Selection(NamedTuple):
    """What was decided for each sample, in the order of the input.

    `confidence` (N,) is NaN where every weighted factor is missing; `renormalised` (N,) tells where some were;
    `reason` (N,) indexes `REASONS`; `similarity` (N,) is the cosine of the kept pair, NaN elsewhere;
    `disagreements` counts the queries whose selected samples differ in label, before the policy.
    """

    confidence: Floats
    renormalised: Bools
    reason: Ints
    similarity: Floats
    disagreements: int

    @property
    def kept(self) -> Bools:
        """Which samples belong to G, (N,)."""
        return np.isin(self.reason, [code for reason, code in _CODE.items() if reason.kept])


def weigh(factors: Floats, names: Sequence[str], weights: Mapping[str, float]) -> tuple[Floats, Bools]:
    """c_ij = sum_l w_l m_l (the paper's confidence), the weights of missing factors spread over the others.

    Returns:
        Confidence (N,), NaN where all weighted factors are missing, and where weights were renormalised (N,).

    Raises:
        ConfigError: if a weight names no factor.
    """
    unknown = set(weights) - set(names)
    if unknown:
        raise ConfigError(f"weights name {sorted(unknown)}, but the factors are {list(names)}")
    weight_F = np.array([weights.get(name, 0.0) for name in names], dtype=np.float64)
    weight_F = weight_F / weight_F.sum()
    used_F = weight_F > 0
    known_NF = ~np.isnan(factors[:, used_F])
    weight_F = weight_F[used_F]
    # Products summed row by row: a matrix product may differ in its last bit with the place of a row.
    mass_N = (known_NF * weight_F).sum(axis=1)
    value_N = (np.where(known_NF, factors[:, used_F], 0.0) * weight_F).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        confidence_N = np.where(mass_N > 0, value_N / mass_N, np.nan)
    return confidence_N, np.asarray(~known_NF.all(axis=1))


def select(samples: SelectionInput, config: SelectionConfig) -> Selection:
    """Decide for every sample whether it is kept, and why.

    Quality: keep where confidence >= threshold (within `TOLERANCE`). Diversity: among a query's retained samples of
    three or more teachers, keep the least similar pair of different teachers; ties go to the smaller sample ids.
    """
    count = len(samples.query)
    weights = config.weights or dict.fromkeys(samples.names, 1.0)
    if config.method == "none":
        confidence, renormalised = np.full(count, np.nan), np.zeros(count, dtype=bool)
        retained = np.ones(count, dtype=bool)
        reason = np.full(count, _CODE[Reason.KEPT_UNSELECTED])
        similarity = np.full(count, np.nan)
    else:
        confidence, renormalised = weigh(samples.factors, samples.names, weights)
        retained = np.nan_to_num(confidence, nan=-1.0) >= config.threshold - TOLERANCE
        reason = np.where(np.isnan(confidence), _CODE[Reason.NO_CONFIDENCE], _CODE[Reason.BELOW_THRESHOLD])
        similarity = np.full(count, np.nan)
        _select_diverse(samples, confidence, np.flatnonzero(retained), config, reason, similarity)
    disagreements = _settle_labels(samples, retained, config, reason, similarity)
    return Selection(confidence, renormalised, reason, similarity, disagreements)


def _select_diverse(
    samples: SelectionInput,
    confidence: Floats,
    retained: Ints,
    config: SelectionConfig,
    reason: Ints,
    similarity: Floats,
) -> None:
    """Write reasons and similarities of the retained samples."""
    if not len(retained):
        return
    rows = retained[np.lexsort((samples.order[retained], samples.query[retained]))]
    _, start, size = np.unique(samples.query[rows], return_index=True, return_counts=True)
    group = np.repeat(np.arange(len(start)), size)
    teachers = _count_distinct(group, samples.teacher[rows])
    paired = (teachers >= 3) | ((teachers == 2) & (size > 2))
    crowd = (teachers == 1) & (size > 2)
    reason[rows] = _CODE[Reason.KEPT_FEW]
    if config.few == "require_three":
        reason[rows[(teachers < 3)[group]]] = _CODE[Reason.TOO_FEW_TEACHERS]
        paired, crowd = teachers >= 3, np.zeros_like(crowd)
    reason[rows[(paired | crowd)[group]]] = _CODE[Reason.NOT_IN_PAIR]
    inside = paired[group]
    pairs = _least_similar(samples, rows[inside], group[inside])
    for side in (pairs.left, pairs.right):
        reason[side] = _CODE[Reason.KEPT_PAIR]
        similarity[side] = pairs.cosine
    for index in np.flatnonzero(crowd):
        own = rows[start[index] : start[index] + size[index]]
        best = own[np.lexsort((samples.order[own], -confidence[own]))[:2]]
        reason[best] = _CODE[Reason.KEPT_FEW]


def _count_distinct(group: Ints, value: Ints) -> Ints:
    pairs = np.unique(group * (int(value.max()) + 1) + value)
    return np.bincount(pairs // (int(value.max()) + 1), minlength=int(group[-1]) + 1)


class _Pairs(NamedTuple):
    left: Ints
    right: Ints
    cosine: Floats


def _least_similar(samples: SelectionInput, rows: Ints, group: Ints) -> _Pairs:
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


def pairs_within(teacher: Ints, group: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Positions of all unordered pairs of different teachers within a group, distance by distance."""
    candidates = np.arange(len(group))
    distance = 0
    while True:
        distance += 1
        candidates = candidates[candidates + distance < len(group)]
        candidates = candidates[group[candidates] == group[candidates + distance]]
        if not len(candidates):
            return
        left = candidates[teacher[candidates] != teacher[candidates + distance]]
        yield left, left + distance


def cosine_of_pairs(embeddings: NDArray[np.float32], left: Ints, right: Ints) -> NDArray[np.float32]:
    """Cosine similarity of row pairs, (P,), in blocks that stay in cache; a zero vector is similar to nothing (0)."""
    cosine = np.empty(len(left), dtype=np.float32)
    for begin in range(0, len(left), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        a, b = embeddings[left[part]], embeddings[right[part]]
        norm = np.sqrt(np.einsum("pd,pd->p", a, a) * np.einsum("pd,pd->p", b, b))
        dot = np.einsum("pd,pd->p", a, b)
        cosine[part] = np.divide(dot, norm, out=np.zeros_like(dot), where=norm > 0)
    return cosine


def _settle_labels(
    samples: SelectionInput, retained: Bools, config: SelectionConfig, reason: Ints, similarity: Floats
) -> int:
    """Apply the policy to queries whose selected samples disagree; returns how many such queries there were."""
    kept = np.flatnonzero(np.isin(reason, [code for known, code in _CODE.items() if known.kept]))
    if not len(kept):
        return 0
    queries, index = np.unique(samples.query[kept], return_inverse=True)
    low = np.full(len(queries), np.iinfo(np.int64).max)
    high = np.full(len(queries), -1)
    np.minimum.at(low, index, samples.label[kept])
    np.maximum.at(high, index, samples.label[kept])
    split = low != high
    if config.disagreement != "keep":
        rows = kept[split[index]]
        wins = np.zeros(len(rows), dtype=bool)
        if config.disagreement == "majority":
            wins = _in_majority(samples, np.flatnonzero(retained), rows)
        verdict = Reason.LABEL_MINORITY if config.disagreement == "majority" else Reason.LABELS_DISAGREE
        reason[rows[~wins]] = _CODE[verdict]
        similarity[rows[~wins]] = np.nan
    return int(split.sum())


def _in_majority(samples: SelectionInput, retained: Ints, rows: Ints) -> Bools:
    """Whether over half of the query's retained teachers give the row's label."""
    top, width = int(samples.teacher.max()) + 1, int(samples.label.max()) + 1
    seat = samples.query[retained] * top + samples.teacher[retained]
    _, voted = np.unique(seat * width + samples.label[retained], return_index=True)
    votes = retained[voted]
    cells, per_cell = np.unique(samples.query[votes] * width + samples.label[votes], return_counts=True)
    _, seats = np.unique(seat, return_index=True)
    queries, per_query = np.unique(samples.query[retained[seats]], return_counts=True)
    mine = per_cell[np.searchsorted(cells, samples.query[rows] * width + samples.label[rows])]
    everyone = per_query[np.searchsorted(queries, samples.query[rows])]
    return np.asarray(2 * mine > everyone)
