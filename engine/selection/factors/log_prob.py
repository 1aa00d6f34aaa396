"""Log-prob: where the mean log-prob of a label's tokens stands among those of its teacher (TwT, Table 4)."""

from __future__ import annotations

import numpy as np

from engine.selection.arrays import Floats, Ints
from engine.selection.factors.base import FACTORS, Factor, Scored
from engine.values import LOG_PROB


def rank_within(group: Ints, value: Floats) -> Floats:
    """The rank of each value within its group, in (0, 1): (rank - 1/2) / size, equal values sharing their mean rank.

    Args:
        group: index of the group, shape (N,).
        value: what is ranked, NaN where it is unknown, shape (N,).

    Returns:
        Shape (N,), NaN where the value is unknown.
    """
    ranks = np.full(len(value), np.nan)
    rows = np.flatnonzero(~np.isnan(value))
    if not len(rows):
        return ranks
    rows = rows[np.lexsort((value[rows], group[rows]))]
    own, ranked = group[rows], value[rows]
    begins = np.flatnonzero(np.diff(own, prepend=own[0] - 1))
    size = np.diff(np.append(begins, len(own)))
    place = np.arange(len(own)) - np.repeat(begins, size)
    new = np.ones(len(own), dtype=bool)
    new[1:] = (own[1:] != own[:-1]) | (ranked[1:] != ranked[:-1])
    tie = np.cumsum(new) - 1
    mean = np.bincount(tie, place) / np.bincount(tie)
    ranks[rows] = (mean[tie] + 0.5) / np.repeat(size, size)
    return ranks


def score(given: Scored) -> Floats:
    """The factor of given samples, (N,): teachers' scales don't mix, and the draws of one are ranked together."""
    return rank_within(given.teacher, given.find(LOG_PROB))


FACTORS.add(
    "log-prob",
    Factor(
        "log-prob, ranked",
        "Rank of the label's mean log-prob among its teacher's; of teachers that return log-probs.",
        score,
        evidence=LOG_PROB,
    ),
)
