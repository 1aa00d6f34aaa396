"""Near duplicates among a project's queries, by embedding; across the splits they are a leak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.usecases.context import Context
from app.usecases.selecting import run_embedder
from engine.errors import StateError
from engine.types import Query

_BLOCK = 2048
MOST_PAIRS = 1000
MOST_FOUND = 1_000_000


@dataclass(frozen=True)
class Resembling:
    """Two queries whose texts are close. `leak`: one is held out and the other one is not."""

    first: str
    second: str
    similarity: float
    leak: bool


@dataclass(frozen=True)
class ResembleService:
    """Use case of near duplicates."""

    context: Context

    def find(self, project_name: str, threshold: float) -> list[Resembling]:
        """Pairs of queries whose cosine similarity reaches the threshold, leaks first, closest first, at most 1,000.

        Raises:
            StateError: if the project has no queries.
        """
        project = self.context.projects.get(project_name)
        queries = self.context.queries.get(project.id)
        if not queries:
            raise StateError(f"{project.name!r} has no queries yet")
        texts = [" ".join([query.text, *(choice.text for choice in query.choices)]) for query in queries]
        vectors_ND = np.load(run_embedder(self.context, project, texts))
        pairs = [_describe(queries, *pair) for pair in close_pairs(vectors_ND, threshold)]
        return sorted(pairs, key=lambda pair: (not pair.leak, -pair.similarity))[:MOST_PAIRS]


def close_pairs(vectors_ND: NDArray[np.float32], threshold: float) -> list[tuple[int, int, float]]:
    """Pairs i < j of unit vectors with cosine similarity at least `threshold`, in blocks of rows.

    Raises:
        StateError: if there are more than a million of them.
    """
    found: list[tuple[int, int, float]] = []
    for begin in range(0, len(vectors_ND), _BLOCK):
        block_BN = vectors_ND[begin : begin + _BLOCK] @ vectors_ND[begin:].T
        rows, columns = np.nonzero((block_BN >= threshold) & np.triu(np.ones(block_BN.shape, dtype=bool), 1))
        if len(found) + len(rows) > MOST_FOUND:
            raise StateError(f"more than {MOST_FOUND:,} pairs are that close; raise the threshold")
        found += [(begin + int(i), begin + int(j), float(block_BN[i, j])) for i, j in zip(rows, columns, strict=True)]
    return found


def _describe(queries: list[Query], first: int, second: int, similarity: float) -> Resembling:
    one, other = queries[first], queries[second]
    return Resembling(one.text, other.text, round(similarity, 4), one.split is not other.split)
