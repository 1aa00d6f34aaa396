"""Agreement, plain: the share of the other teachers that give the same label."""

from __future__ import annotations

import numpy as np

from engine.selection.arrays import Floats, Ints
from engine.selection.factors.base import FACTORS, Factor, Scored
from engine.selection.factors.votes import gather_votes, group_rows


def plain_agreement(query: Ints, teacher: Ints, label: Ints) -> Floats:
    """Share of the other teachers that give the same label.

    Args:
        query: query index of each sample, shape (N,).
        teacher: teacher index, shape (N,).
        label: code of the label, equal within a query exactly where the normalised labels are equal, shape (N,).

    Returns:
        Values in [0, 1], shape (N,); a teacher that drew several samples counts by the share of its draws. NaN where no
        other teacher answered the query.
    """
    if not len(query):
        return np.empty(0)
    votes = gather_votes(query, teacher, label)
    per_cell = np.bincount(votes.cell_V, votes.share_V)
    teachers = np.bincount(query[group_rows(query, teacher)[0]], minlength=int(query.max()) + 1)
    others_V = teachers[votes.query_V] - 1
    same_V = per_cell[votes.cell_V] - votes.share_V
    with np.errstate(invalid="ignore", divide="ignore"):
        value_V = np.where(others_V > 0, np.clip(same_V / others_V, 0, 1), np.nan)
    return np.asarray(value_V[votes.vote_of_sample_N], dtype=np.float64)


def score(given: Scored) -> Floats:
    """The factor of given samples, (N,)."""
    return plain_agreement(given.query, given.teacher, given.label)


FACTORS.add(
    "agreement", Factor("agreement, plain", "Share of the other teachers that give the label.", score, votes=True)
)
