"""DCRS, step 1 of the method: which samples make the distillation set, as pure functions on arrays.

The input has no place for a gold label. Shapes: N samples, F factors, D dimensions, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.calibration import temper
from engine.config import SelectionConfig
from engine.errors import ConfigError
from engine.types import Reason, Sample

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE = 1e-9
"""A confidence may fall this far below the threshold: 0.95 in every factor can sum to just below 0.95."""

REASONS = tuple(Reason)
_CODE = {reason: code for code, reason in enumerate(REASONS)}
_CHUNK = 8192
_DECIMALS = 6
_KNOWN = 0.5
"""Share of the weight that must lie on known factors: missing evidence is not evidence."""


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


def arrange(samples: Sequence[Sample], names: Sequence[str], vectors: NDArray[np.float32]) -> SelectionInput:
    """Samples as arrays. `names` are the factors that teachers reported; `vectors` (N, D) those of the rationales."""
    factors = [[sample.factors.get(name, np.nan) for name in names] for sample in samples]
    return SelectionInput(
        query=_number([sample.query_id for sample in samples]),
        teacher=_number([sample.teacher for sample in samples]),
        label=_number([sample.label_key for sample in samples]),
        order=np.argsort(np.argsort([sample.id for sample in samples], kind="stable")),
        factors=np.array(factors, dtype=np.float64).reshape(len(samples), len(names)),
        names=tuple(names),
        embeddings=vectors,
    )


def _number(values: Sequence[str]) -> Ints:
    """Each value's place among the different ones."""
    return np.unique(np.array(values, dtype=str), return_inverse=True)[1].astype(np.int64)


class Selection(NamedTuple):
    """What was decided for each sample, in the order of the input.

    `confidence` (N,) is NaN where less than half of the weight is known; `renormalised` (N,) tells where some weighted
    factor is missing; `reason` (N,) indexes `REASONS`; `similarity` (N,) is the cosine of the kept pair, NaN elsewhere;
    `disagreements` counts the queries whose retained samples differ in label, before the policy.
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
        Confidence (N,), NaN where less than half of the weight lies on known factors, and where weights were
        renormalised (N,).

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
        confidence_N = np.where(mass_N >= _KNOWN - TOLERANCE, value_N / mass_N, np.nan)
    return confidence_N, np.asarray(~known_NF.all(axis=1))


def select(samples: SelectionInput, config: SelectionConfig) -> Selection:
    """Decide for every sample whether it is kept, and why.

    Quality: keep where confidence >= threshold (within `TOLERANCE`). Labels: where a query's retained samples differ,
    the policy settles whose stay. Diversity: of what stays, where more than two samples were retained, keep the least
    similar pair of different teachers; ties go to the smaller sample ids.
    """
    count = len(samples.query)
    similarity = np.full(count, np.nan)
    if config.method == "none":
        confidence, renormalised = np.full(count, np.nan), np.zeros(count, dtype=bool)
        retained = np.arange(count)
        reason = np.full(count, _CODE[Reason.KEPT_UNSELECTED])
        _, disagreements = _settle_labels(samples, retained, config, reason)
        return Selection(confidence, renormalised, reason, similarity, disagreements)
    weights = config.weights or dict.fromkeys(samples.names, 1.0)
    confidence, renormalised = weigh(samples.factors, samples.names, weights)
    confidence = temper(confidence, config.temperature)
    passed = np.nan_to_num(confidence, nan=-1.0) >= config.threshold - TOLERANCE
    reason = np.where(np.isnan(confidence), _CODE[Reason.NO_CONFIDENCE], _CODE[Reason.BELOW_THRESHOLD])
    if config.by_agreement and not passed.all():
        reason[_two_that_differ(samples) & ~passed & ~np.isnan(confidence)] = _CODE[Reason.TEACHERS_DIFFER]
    retained = np.flatnonzero(passed)
    settled, disagreements = _settle_labels(samples, retained, config, reason)
    if len(settled):
        _select_diverse(samples, confidence, (retained, settled), config, reason, similarity)
    return Selection(confidence, renormalised, reason, similarity, disagreements)


def _two_that_differ(samples: SelectionInput) -> Bools:
    """Where a query has exactly two teachers, and the other one never gives this sample's label, (N,)."""
    teachers = _count_distinct(samples.query, samples.teacher)
    _, cell = np.unique(samples.query * (int(samples.label.max()) + 1) + samples.label, return_inverse=True)
    voters = _count_distinct(cell, samples.teacher)
    return np.asarray((teachers[samples.query] == 2) & (voters[cell] == 1))


def _settle_labels(samples: SelectionInput, retained: Ints, config: SelectionConfig, reason: Ints) -> tuple[Ints, int]:
    """Apply the policy to queries whose retained samples differ in label, and write the reasons of those that go.

    Returns:
        The rows that stay, and how many such queries there were.
    """
    if not len(retained):
        return retained, 0
    queries, group = np.unique(samples.query[retained], return_inverse=True)
    low = np.full(len(queries), np.iinfo(np.int64).max)
    high = np.full(len(queries), -1)
    np.minimum.at(low, group, samples.label[retained])
    np.maximum.at(high, group, samples.label[retained])
    differ = low != high
    unsettled = differ[group]
    if config.disagreement == "keep" or not unsettled.any():
        return retained, int(differ.sum())
    rows = retained[unsettled]
    wins = np.zeros(len(rows), dtype=bool)
    if config.disagreement == "majority":
        wins = _in_majority(samples, rows)
    settled = np.bincount(group[unsettled], wins, len(queries)) > 0
    minority = settled[group[unsettled]] & ~wins
    reason[rows[~wins]] = _CODE[Reason.LABELS_DISAGREE]
    reason[rows[minority]] = _CODE[Reason.LABEL_MINORITY]
    stays = np.ones(len(retained), dtype=bool)
    stays[unsettled] = wins
    return retained[stays], int(differ.sum())


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


def _select_diverse(
    samples: SelectionInput,
    confidence: Floats,
    held: tuple[Ints, Ints],
    config: SelectionConfig,
    reason: Ints,
    similarity: Floats,
) -> None:
    """Write reasons and similarities of the rows that stay. `held`: those retained, and of them those that stay."""
    retained, settled = held
    size_Q = np.bincount(samples.query[retained])
    rows = settled[np.lexsort((samples.order[settled], samples.query[settled]))]
    query = samples.query[rows]
    teachers_Q = _count_distinct(query, samples.teacher[rows])
    reason[rows] = _CODE[Reason.KEPT_FEW]
    paired, crowd = (teachers_Q >= 2)[query], (teachers_Q == 1)[query]
    paired &= size_Q[query] > 2
    if config.few == "require_three":
        short = (_count_distinct(samples.query[retained], samples.teacher[retained]) < 3)[query]
        reason[rows[short]] = _CODE[Reason.TOO_FEW_TEACHERS]
        paired, crowd = paired & ~short, crowd & ~short
    reason[rows[paired]] = _CODE[Reason.NOT_IN_PAIR]
    pairs = _least_similar(samples, rows[paired], query[paired])
    for side in (pairs.left, pairs.right):
        reason[side] = _CODE[Reason.KEPT_PAIR]
        similarity[side] = pairs.cosine
    ranked = rows[crowd][np.lexsort((samples.order[rows[crowd]], -confidence[rows[crowd]], query[crowd]))]
    reason[ranked[_place_within(samples.query[ranked]) >= 2]] = _CODE[Reason.NOT_IN_PAIR]


def _place_within(group: Ints) -> Ints:
    """Each row's place within its group, from 0; the groups stand together."""
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(np.append(begins, len(group)))
    return np.arange(len(group)) - np.repeat(begins, size)


def _count_distinct(group: Ints, value: Ints) -> Ints:
    """How many distinct values each group has, by the group's index."""
    width = int(value.max(initial=0)) + 1
    pairs = np.unique(group * width + value)
    return np.bincount(pairs // width)


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
