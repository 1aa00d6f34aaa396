"""Views over a whole set of samples: which teachers reason alike, what a threshold costs, where rationales lie.

Pure functions on arrays. Shapes: N samples, T sources, D dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import StateError
from engine.selection.arrays import TOLERANCE, Floats, Ints, group_rows
from engine.selection.cosines import Cosines, VectorCosines

_BLOCK = 2048
MOST_FOUND = 1_000_000


class Likeness(NamedTuple):
    """Mean cosine of rationales by pair of teachers, (T, T), NaN where they share none; pairs compared, (T, T)."""

    mean: Floats
    shared: Ints


class Sweep(NamedTuple):
    """For each threshold: the share of queries that keep a sample, and of those with several the share that agree."""

    threshold: Floats
    coverage: Floats
    agreement: Floats


def compare_teachers(query: Ints, teacher: Ints, embeddings: NDArray[np.float32] | Cosines) -> Likeness:
    """How alike two teachers' rationales to the same query are on average; the diagonal is 1 by definition."""
    size = int(teacher.max()) + 1
    total, count = np.zeros((size, size)), np.zeros((size, size), dtype=np.int64)
    groups = group_rows(np.argsort(query, kind="stable"), query)
    cosines = VectorCosines(embeddings) if isinstance(embeddings, np.ndarray) else embeddings
    cosine = cosines.within(groups).astype(np.float64)
    for block in groups.alike():
        teacher_KG = teacher[block.rows]
        a, b = teacher_KG[block.left], teacher_KG[block.right]
        others = a != b
        cell = (np.minimum(a, b) * size + np.maximum(a, b))[others]
        total += np.bincount(cell, cosine[block.pairs][others], size * size).reshape(size, size)
        count += np.bincount(cell, minlength=size * size).reshape(size, size)
    total, count = total + total.T, count + count.T
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    np.fill_diagonal(mean, 1.0)
    return Likeness(mean, count)


def sweep_threshold(confidence: Floats, query: Ints, label: Ints, thresholds: Floats) -> Sweep:
    """What keeping all samples from a threshold on would mean, by each of some thresholds."""
    known = ~np.isnan(confidence)
    rows = np.flatnonzero(known)[np.lexsort((-confidence[known], query[known]))]
    value, group, answer = confidence[rows], query[rows], label[rows]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    place = np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
    other = answer != np.repeat(answer[first], np.diff(first, append=len(rows)))
    differ = np.full(int(query.max(initial=0)) + 1, -np.inf)
    np.maximum.at(differ, group[other], value[other])
    queries, several, unlike = (
        _count_from(values, thresholds) for values in (value[first], value[place == 1], differ[differ > -np.inf])
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = np.where(several > 0, 1 - unlike / several, np.nan)
    return Sweep(thresholds, queries / max(1, int((np.bincount(query) > 0).sum())), agreement)


def _count_from(values: Floats, thresholds: Floats) -> Floats:
    """How many values reach each threshold."""
    return len(values) - np.searchsorted(np.sort(values), thresholds - TOLERANCE).astype(np.float64)


class Map(NamedTuple):
    """Points in a plane, (N, 2), and the share of the variance that the plane shows."""

    points: Floats
    shown: float


def flatten(embeddings: NDArray[np.float32]) -> Map:
    """The two principal components of some vectors, (N, D) with N of at least 2."""
    from sklearn.decomposition import PCA  # noqa: PLC0415 - only where a map is drawn

    model = PCA(n_components=min(2, *embeddings.shape), random_state=0)
    with np.errstate(invalid="ignore"):  # equal vectors have no variance to share out
        points = model.fit_transform(embeddings.astype(np.float64))
    shown = np.zeros((len(embeddings), 2))
    shown[:, : points.shape[1]] = points
    ratio = model.explained_variance_ratio_
    return Map(shown, float(np.nan_to_num(ratio).sum()))


def find_close_pairs(vectors_ND: NDArray[np.float32], threshold: float) -> list[tuple[int, int, float]]:
    """Pairs i < j of unit vectors with cosine similarity at least `threshold`, in blocks of rows.

    Raises:
        StateError: if there are more than a million of them.
    """
    pairs: list[tuple[int, int, float]] = []
    for begin in range(0, len(vectors_ND), _BLOCK):
        block_BN = vectors_ND[begin : begin + _BLOCK] @ vectors_ND[begin:].T
        rows, columns = np.nonzero((block_BN >= threshold) & np.triu(np.ones(block_BN.shape, dtype=bool), 1))
        if len(pairs) + len(rows) > MOST_FOUND:
            raise StateError(f"more than {MOST_FOUND:,} pairs are that close; raise the threshold")
        pairs += [(begin + int(i), begin + int(j), float(block_BN[i, j])) for i, j in zip(rows, columns, strict=True)]
    return pairs
