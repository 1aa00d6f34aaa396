"""Agreement by Dawid-Skene: the posterior of a label where each teacher has one accuracy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.selection.arrays import Floats, Ints
from engine.selection.factors.base import FACTORS, Factor, Scored
from engine.selection.factors.votes import gather_votes, group_rows

_MAX_ROUNDS = 200
_TOLERANCE = 1e-7


class Reliability(NamedTuple):
    """One-coin Dawid-Skene: each sample's posterior of its label, shape (N,), and each teacher's reliability, (T,)."""

    posterior: Floats
    reliability: Floats


def dawid_skene(query: Ints, teacher: Ints, label: Ints, label_space: int) -> Reliability:
    """One-coin Dawid-Skene (Dawid & Skene 1979, one accuracy a teacher) where every query has its own labels.

    A teacher is right with probability p_t; a wrong label is any of the other `label_space - 1` with equal
    chance. A label that nobody gave may be the truth too. The model takes teachers to err independently; real ones
    don't, so the posterior ranks well and is no probability (`weighted_agreement` is nearer to one).

    Returns:
        NaN posteriors where fewer than three teachers took part in the whole, for then the model can't be told apart
        from any other, and for queries that one teacher alone answered: they tell nothing about agreement.
    """
    teachers = int(teacher.max(initial=-1)) + 1
    if len(np.unique(teacher)) < 3:
        return Reliability(np.full(len(query), np.nan), np.full(teachers, np.nan))
    votes = gather_votes(query, teacher, label)
    seats = np.bincount(query[group_rows(query, teacher)[0]], minlength=int(query.max()) + 1)
    shared_V = votes.share_V * (seats[votes.query_V] > 1)
    weight_T = np.bincount(votes.teacher_V, shared_V, teachers)
    posterior_C = _normalise(_sum(votes.cell_V, votes.share_V), votes.query_of_cell_C)
    right_T = np.full(teachers, 0.5)
    for _ in range(_MAX_ROUNDS):
        hits_T = np.bincount(votes.teacher_V, shared_V * posterior_C[votes.cell_V], teachers)
        updated_T = (hits_T + 1) / (weight_T + 2)
        gain_T = np.log(updated_T) - np.log((1 - updated_T) / max(label_space - 1, 1))
        score_C = _sum(votes.cell_V, votes.share_V * gain_T[votes.teacher_V])
        posterior_C = _softmax(score_C, votes.query_of_cell_C, label_space)
        change = float(np.abs(updated_T - right_T).max())
        right_T = updated_T
        if change < _TOLERANCE:
            break
    posterior_V = np.where(seats[votes.query_V] > 1, posterior_C[votes.cell_V], np.nan)
    return Reliability(posterior_V[votes.vote_of_sample_N], right_T)


def _sum(index: Ints, weight: Floats) -> Floats:
    return np.asarray(np.bincount(index, weight), dtype=np.float64)


def _normalise(value_C: Floats, query_C: Ints) -> Floats:
    total = np.bincount(query_C, value_C)
    return np.asarray(value_C / total[query_C], dtype=np.float64)


def _softmax(score_C: Floats, query_C: Ints, label_space: int) -> Floats:
    """Posterior of each given label; the labels of the space that nobody gave have score 0."""
    count_Q = np.bincount(query_C)
    top_Q = np.where(count_Q < label_space, 0.0, -np.inf)
    np.maximum.at(top_Q, query_C, score_C)
    mass_C = np.exp(score_C - top_Q[query_C])
    unseen_Q = np.maximum(label_space - count_Q, 0) * np.exp(-np.where(np.isinf(top_Q), 0.0, top_Q))
    return np.asarray(mass_C / (_sum(query_C, mass_C) + unseen_Q)[query_C], dtype=np.float64)


def score(given: Scored) -> Floats:
    """The factor of given samples, (N,)."""
    return dawid_skene(given.query, given.teacher, given.label, given.label_space()).posterior


FACTORS.add(
    "agreement_ds",
    Factor("agreement, Dawid-Skene", "A ranking score, not a probability; it needs three teachers.", score, votes=True),
)
