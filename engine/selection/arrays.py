"""Samples and decisions as arrays, and what several rules reckon on them.

The input has no place for a gold label. Shapes: N samples, F factors, D dimensions, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.values import Reason, Sample

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE = 1e-9
"""A confidence may fall this far below the threshold: 0.95 in every factor can sum to just below 0.95."""

REASONS = tuple(Reason)
CODES = {reason: code for code, reason in enumerate(REASONS)}
"""A reason's place in `REASONS`: what stands in arrays."""
_CHUNK = 8192


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
        sources: the teachers' names by their index; empty where they are not told.
        evidence: by name what else is known of each sample, NaN where nothing is, float64 (N,).
    """

    query: Ints
    teacher: Ints
    label: Ints
    order: Ints
    factors: Floats
    names: tuple[str, ...]
    embeddings: NDArray[np.float32]
    sources: tuple[str, ...] = ()
    evidence: Mapping[str, Floats] = field(default_factory=dict)

    def find(self, name: str) -> Floats:
        """What is known by a name, (N,); all NaN where nothing is."""
        return self.evidence.get(name, np.full(len(self.query), np.nan))


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
    pairs = np.unique(group * width + value)
    return np.bincount(pairs // width)


def place_within(group: Ints) -> Ints:
    """Each row's place within its group, from 0; the groups stand together."""
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(np.append(begins, len(group)))
    return np.arange(len(group)) - np.repeat(begins, size)


def find_differing(samples: SelectionInput, rows: Ints) -> tuple[Ints, Bools]:
    """Each row's group by query, (R,), and which groups hold more than one label, (G,)."""
    queries, group = np.unique(samples.query[rows], return_inverse=True)
    low = np.full(len(queries), np.iinfo(np.int64).max)
    high = np.full(len(queries), -1)
    np.minimum.at(low, group, samples.label[rows])
    np.maximum.at(high, group, samples.label[rows])
    return group, low != high


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
