"""Cosines of the rationales within each query: of vectors in memory, or as they were reckoned before.

Shapes: N samples, R rows, G groups (a query's rows), K rows a group, D dimensions, P pairs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Singles = NDArray[np.float32]

_BLOCK_BYTES = 2**20
"""Vectors that are looked at together: few enough to stay in a processor's cache, enough to be worth the calls."""
_MOST_THREADS = 4


@dataclass(frozen=True)
class Groups:
    """Rows (R), those of a query one behind the other, and where each query's begin (G).

    The pairs of a group stand one behind the other too: first with second, first with third, ..., second with third.
    """

    rows: Ints
    begins: Ints

    @cached_property
    def sizes(self) -> Ints:
        """Rows of each group, (G,)."""
        return np.diff(self.begins, append=len(self.rows))

    @cached_property
    def firsts(self) -> Ints:
        """Where each group's pairs begin among all, (G,), and behind the last one how many there are, (G + 1,)."""
        return np.concatenate([[0], np.cumsum(self.sizes * (self.sizes - 1) // 2)])

    def alike(self, most: int | None = None, wanted: NDArray[np.bool_] | None = None) -> Iterator[Alike]:
        """The groups of two rows and more, those of a size together, at most so many rows at a time.

        `wanted` is a mask of groups (G,) where not all of them are.
        """
        for size in (np.flatnonzero(np.bincount(self.sizes)[2:]) + 2).tolist():
            own = np.flatnonzero(self.sizes == size if wanted is None else (self.sizes == size) & wanted)
            step = max(1, len(own)) if most is None else max(1, most // size)
            left, right = np.triu_indices(size, 1)
            for begin in range(0, len(own), step):
                group = own[begin : begin + step]
                rows = self.rows[self.begins[group] + np.arange(size)[:, None]]
                yield Alike(rows, left, right, self.firsts[group] + np.arange(len(left))[:, None])


class Alike(NamedTuple):
    """Groups of one size: their rows (K, G), the places of the left and the right row of each pair (P), and where
    the groups' pairs stand among all (P, G).
    """

    rows: Ints
    left: Ints
    right: Ints
    pairs: Ints


class Cosines(Protocol):
    """What tells how alike the rationales of a query are."""

    def within(self, groups: Groups) -> Singles:
        """The cosines of all pairs within groups, one behind the other as `Groups` has them."""
        ...


@dataclass(frozen=True)
class VectorCosines:
    """Cosines out of vectors of any length, float32 (N, D); a zero vector is similar to nothing (0)."""

    vectors: Singles

    def within(self, groups: Groups) -> Singles:
        """As `Cosines`: a block of groups at a time, on several threads where there is work for them."""
        cosine = np.empty(groups.firsts[-1], dtype=np.float32)
        dimension = self.vectors.shape[1]
        most = _BLOCK_BYTES // (4 * max(1, dimension))
        blocks = list(groups.alike(most))
        longest = max((block.rows.size for block in blocks), default=0)

        def fill(part: list[Alike]) -> None:
            room = np.empty((longest, dimension), dtype=np.float32)
            for block in part:
                # Into memory that is there: a new array of this size costs more than what is put into it.
                vectors = np.take(
                    self.vectors, block.rows.reshape(-1), axis=0, out=room[: block.rows.size], mode="clip"
                )
                cosine[block.pairs] = reckon_cosines(vectors, block)

        threads = min(_MOST_THREADS, os.cpu_count() or 1, len(blocks))
        if threads < 2:
            fill(blocks)
            return cosine
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, [blocks[place::threads] for place in range(threads)]))
        return cosine


def reckon_cosines(vectors: Singles, block: Alike) -> Singles:
    """The cosines of groups' pairs, (P, G), out of the vectors of their rows in the same order, (K * G, D)."""
    size, count = block.rows.shape
    square_KG = np.einsum("rd,rd->r", vectors, vectors).reshape(size, count)
    vectors_KGD = vectors.reshape(size, count, -1)
    dot_PG = np.empty((len(block.left), count), dtype=np.float32)
    place = 0
    for left in range(size - 1):
        end = place + size - 1 - left
        np.einsum("gd,kgd->kg", vectors_KGD[left], vectors_KGD[left + 1 :], out=dot_PG[place:end])
        place = end
    norm_PG = np.sqrt(square_KG[block.left] * square_KG[block.right])
    cosine_PG = np.zeros_like(dot_PG)
    np.divide(dot_PG, norm_PG, out=cosine_PG, where=norm_PG > 0)
    return cosine_PG


@dataclass(frozen=True)
class KnownCosines:
    """Cosines that were reckoned before, of all pairs within `whole`, the groups of all samples by query.

    What is asked for may leave rows and groups out; those of a group must stand in the order that they have in `whole`.
    """

    whole: Groups
    values: Singles

    @cached_property
    def _places(self) -> tuple[Ints, Ints]:
        """Each sample's group and its place in it, (N,)."""
        group, place = np.empty(len(self.whole.rows), np.int64), np.empty(len(self.whole.rows), np.int64)
        number = np.repeat(np.arange(len(self.whole.begins)), self.whole.sizes)
        group[self.whole.rows] = number
        place[self.whole.rows] = np.arange(len(self.whole.rows)) - self.whole.begins[number]
        return group, place

    def within(self, groups: Groups) -> Singles:
        """As `Cosines`."""
        group_N, place_N = self._places
        cosine = np.empty(groups.firsts[-1], dtype=np.float32)
        for block in groups.alike():
            own = group_N[block.rows[0]]
            size, first = self.whole.sizes[own], self.whole.firsts[own]
            place_KG = place_N[block.rows]
            left, right = place_KG[block.left], place_KG[block.right]
            cosine[block.pairs] = self.values[first + left * size - left * (left + 1) // 2 + right - left - 1]
        return cosine
