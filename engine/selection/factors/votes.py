"""Labels as votes, which the factors of agreement count. No gold label is used.

A teacher is one vote. Several draws of it share that vote, so an agreeing draw of the same teacher is no evidence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.selection.arrays import Floats, Ints


class GatheredVotes(NamedTuple):
    """Samples (N) gathered into votes, one a (query, teacher, label) with its share of that teacher's draws."""

    query_V: Ints
    teacher_V: Ints
    cell_V: Ints
    share_V: Floats
    vote_of_sample_N: Ints
    query_of_cell_C: Ints


def group_rows(*columns: Ints) -> tuple[Ints, Ints, Ints]:
    """Index of the first row of each distinct combination, and each row's group, and group sizes."""
    key = columns[0].astype(np.int64)
    for column in columns[1:]:
        key = np.unique(key, return_inverse=True)[1] * (int(column.max(initial=0)) + 1) + column
    _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    return first, inverse.astype(np.int64), counts.astype(np.int64)


def gather_votes(query_N: Ints, teacher_N: Ints, label_N: Ints) -> GatheredVotes:
    """Samples as votes. All of shape (N,): indexes of query and teacher, codes of labels."""
    first_V, vote_N, counts_V = group_rows(query_N, teacher_N, label_N)
    _, draws_of_N, draws = group_rows(query_N, teacher_N)
    first_C, cell_N, _ = group_rows(query_N, label_N)
    return GatheredVotes(
        query_N[first_V],
        teacher_N[first_V],
        cell_N[first_V],
        counts_V / draws[draws_of_N[first_V]],
        vote_N,
        query_N[first_C],
    )
