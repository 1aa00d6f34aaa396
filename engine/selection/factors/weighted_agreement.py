"""Agreement, weighted: the share of a query's votes for a label, each weighted by its teacher's reliability."""

from __future__ import annotations

import numpy as np

from engine.selection.arrays import Floats, Ints
from engine.selection.factors.base import FACTORS, Factor, Scored
from engine.selection.factors.dawid_skene import dawid_skene
from engine.selection.factors.votes import gather_votes

_RESERVED = 0.25
"""Of a vote, kept back for labels that nobody gave: real teachers err together, so not even all of them are certain."""


def weighted_agreement(query: Ints, teacher: Ints, label: Ints, label_space: int) -> Floats:
    """Share of a query's votes that are for the sample's label, each vote weighted by its teacher's reliability.

    The teacher's own vote counts, and a quarter of a vote is kept back, so that two teachers that agree come to 8/9 and
    two that differ to 4/9 each. Reliabilities are those of `dawid_skene`, which tells who errs less though its
    posteriors are over-confident; fewer than three teachers can't be told apart and weigh the same.

    Args:
        query: query index of each sample, shape (N,).
        teacher: teacher index, shape (N,).
        label: code of the label, equal within a query exactly where the normalised labels are equal, shape (N,).
        label_space: how many labels a query can have.

    Returns:
        Values in [0, 1), shape (N,). NaN where no other teacher answered the query.
    """
    if not len(query):
        return np.empty(0)
    weight_T = dawid_skene(query, teacher, label, label_space).reliability
    weight_T = np.where(np.isnan(weight_T), 1.0, weight_T)
    votes = gather_votes(query, teacher, label)
    given_V = votes.share_V * weight_T[votes.teacher_V]
    whole_Q, seats_Q = np.bincount(votes.query_V, given_V), np.bincount(votes.query_V, votes.share_V)
    whole_V, seats_V = whole_Q[votes.query_V], seats_Q[votes.query_V]
    share_V = np.bincount(votes.cell_V, given_V)[votes.cell_V] / (whole_V * (1 + _RESERVED / seats_V))
    return np.asarray(np.where(seats_V > 1.5, share_V, np.nan)[votes.vote_of_sample_N], dtype=np.float64)


def score(given: Scored) -> Floats:
    """The factor of given samples, (N,)."""
    return weighted_agreement(given.query, given.teacher, given.label, given.label_space())


FACTORS.add(
    "agreement_weighted",
    Factor("agreement, weighted", "Share of the votes for the label, weighted by reliability.", score, votes=True),
)
