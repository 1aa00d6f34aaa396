"""Samples and decisions as arrays, and what several rules reckon on them.

The input has no place for a gold label. Shapes: N samples, F factors, D dimensions, P pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.selection.cosines import Cosines, Groups, VectorCosines
from engine.values import Reason, Sample

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE = 1e-9
"""A confidence may fall this far below the threshold: 0.95 in every factor can sum to just below 0.95."""

REASONS = tuple(Reason)
CODES = {reason: code for code, reason in enumerate(REASONS)}
"""A reason's place in `REASONS`: what stands in arrays."""
_DIGIT, _BITS = 16, 63
"""Bits that rows are sorted by at a time, and values that fit into one number as a set."""


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
        embeddings: rationale vectors of any length, float32 (N, D), or what tells their cosines otherwise.
        sources: the teachers' names by their index; empty where they are not told.
        evidence: by name what else is known of each sample, NaN where nothing is, float64 (N,).
    """

    query: Ints
    teacher: Ints
    label: Ints
    order: Ints
    factors: Floats
    names: tuple[str, ...]
    embeddings: NDArray[np.float32] | Cosines
    sources: tuple[str, ...] = ()
    evidence: Mapping[str, Floats] = field(default_factory=dict)

    def find(self, name: str) -> Floats:
        """What is known by a name, (N,); all NaN where nothing is."""
        return self.evidence.get(name, np.full(len(self.query), np.nan))

    @cached_property
    def ranked(self) -> Ints:
        """All rows by query, and within a query by `order`, (N,)."""
        return rank_rows(self.query, self.order)

    def group(self, wanted: Bools) -> Groups:
        """The rows of a mask (N,) by query, and within a query by `order`."""
        return group_rows(self.ranked[wanted[self.ranked]], self.query)

    @property
    def cosines(self) -> Cosines:
        """What tells the cosines of rationales within a query."""
        return VectorCosines(self.embeddings) if isinstance(self.embeddings, np.ndarray) else self.embeddings


def rank_rows(query: Ints, order: Ints) -> Ints:
    """Rows by query, and within a query by `order`, (N,); both count from 0."""
    rows = np.empty(int(order.max(initial=-1)) + 1, dtype=np.int64)
    rows[order] = np.arange(len(order))
    rows = rows if len(rows) == len(order) else np.argsort(order)
    # By one digit of 16 bits after the other, which sorts faster than whole numbers of 64.
    for shift in range(0, int(query.max(initial=0)).bit_length(), _DIGIT):
        digit = (query >> shift).astype(np.uint16)[rows]
        if not bool((digit[1:] >= digit[:-1]).all()):
            rows = rows[np.argsort(digit, kind="stable")]
    return rows


def group_rows(rows: Ints, query: Ints) -> Groups:
    """Rows whose queries (N,) stand together, as groups."""
    return Groups(rows, np.flatnonzero(np.diff(query[rows], prepend=-1)))


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
        sources=tuple(sorted({sample.teacher for sample in samples})),
        evidence=gather_evidence(samples),
    )


def gather_evidence(samples: Sequence[Sample]) -> dict[str, Floats]:
    """By name what is known of samples beside their factors, (N,), NaN where nothing is."""
    names = sorted({name for sample in samples for name in sample.evidence})
    return {name: np.array([sample.evidence.get(name, np.nan) for sample in samples]) for name in names}


def _number(values: Sequence[str]) -> Ints:
    """Each value's place among the different ones."""
    return np.unique(np.array(values, dtype=str), return_inverse=True)[1].astype(np.int64)


class Selection(NamedTuple):
    """What was decided for each sample, in the order of the input.

    `confidence` (N,) is NaN where less than half of the weight is known, and everywhere if no rule asks for it;
    `renormalised` (N,) tells where some weighted factor is missing; `reason` (N,) indexes `REASONS`; `similarity` (N,)
    is the cosine of the kept pair, NaN elsewhere; `disagreements` counts the queries whose retained samples (those that
    no rule of quality rejects) differ in label.
    """

    confidence: Floats
    renormalised: Bools
    reason: Ints
    similarity: Floats
    disagreements: int

    @property
    def kept(self) -> Bools:
        """Which samples belong to G, (N,)."""
        return np.isin(self.reason, [code for reason, code in CODES.items() if reason.kept])


def count_distinct(group: Ints, value: Ints) -> Ints:
    """How many distinct values each group has, by the group's index."""
    width = int(value.max(initial=0)) + 1
    pairs = np.sort(group * width + value)
    new = np.ones(len(pairs), dtype=bool)
    new[1:] = pairs[1:] != pairs[:-1]
    return np.bincount(pairs[new] // width)


def count_within(groups: Groups, value: Ints) -> Ints:
    """How many distinct values, (N,), the rows of each group have, (G,)."""
    if not len(groups.rows):
        return np.empty(0, dtype=np.int64)
    own = value[groups.rows]
    if int(own.max()) < _BITS:
        return np.bitwise_count(np.bitwise_or.reduceat(1 << own, groups.begins)).astype(np.int64)
    return count_distinct(np.repeat(np.arange(len(groups.begins)), groups.sizes), own)


def place_within(group: Ints) -> Ints:
    """Each row's place within its group, from 0; the groups stand together."""
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(np.append(begins, len(group)))
    return np.arange(len(group)) - np.repeat(begins, size)


def find_differing(samples: SelectionInput, rows: Ints) -> Bools:
    """By the index of each query: whether those of some rows that answer it hold more than one label."""
    query, label = samples.query[rows], samples.label[rows]
    queries = int(query.max(initial=-1)) + 1
    low, high = np.full(queries, np.iinfo(np.int64).max), np.full(queries, -1)
    np.minimum.at(low, query, label)
    np.maximum.at(high, query, label)
    return np.asarray(low < high)
