"""Confidence factors computed from labels alone: how far the teachers agree. No gold label is used.

A teacher is one vote. Several draws of it share that vote, so an agreeing draw of the same teacher is no evidence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_MAX_ROUNDS = 200
_TOLERANCE = 1e-7
_RESERVED = 0.25
"""Of a vote, kept back for labels that nobody gave: real teachers err together, so not even all of them are certain."""


class Votes(NamedTuple):
    """Samples (N) gathered into votes, one a (query, teacher, label) with its share of that teacher's draws."""

    query_V: Ints
    teacher_V: Ints
    cell_V: Ints
    share_V: Floats
    vote_of_sample_N: Ints
    query_of_cell_C: Ints


def _group(*columns: Ints) -> tuple[Ints, Ints, Ints]:
    """Index of the first row of each distinct combination, and each row's group, and group sizes."""
    key = columns[0].astype(np.int64)
    for column in columns[1:]:
        key = np.unique(key, return_inverse=True)[1] * (int(column.max(initial=0)) + 1) + column
    _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    return first, inverse.astype(np.int64), counts.astype(np.int64)


def _gather(query_N: Ints, teacher_N: Ints, label_N: Ints) -> Votes:
    first_V, vote_N, counts_V = _group(query_N, teacher_N, label_N)
    _, draws_of_N, draws = _group(query_N, teacher_N)
    first_C, cell_N, _ = _group(query_N, label_N)
    return Votes(
        query_N[first_V],
        teacher_N[first_V],
        cell_N[first_V],
        counts_V / draws[draws_of_N[first_V]],
        vote_N,
        query_N[first_C],
    )


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
    votes = _gather(query, teacher, label)
    per_cell = np.bincount(votes.cell_V, votes.share_V)
    teachers = np.bincount(query[_group(query, teacher)[0]], minlength=int(query.max()) + 1)
    others_V = teachers[votes.query_V] - 1
    same_V = per_cell[votes.cell_V] - votes.share_V
    with np.errstate(invalid="ignore", divide="ignore"):
        value_V = np.where(others_V > 0, np.clip(same_V / others_V, 0, 1), np.nan)
    return np.asarray(value_V[votes.vote_of_sample_N], dtype=np.float64)


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
    votes = _gather(query, teacher, label)
    given_V = votes.share_V * weight_T[votes.teacher_V]
    whole_Q, seats_Q = np.bincount(votes.query_V, given_V), np.bincount(votes.query_V, votes.share_V)
    whole_V, seats_V = whole_Q[votes.query_V], seats_Q[votes.query_V]
    share_V = np.bincount(votes.cell_V, given_V)[votes.cell_V] / (whole_V * (1 + _RESERVED / seats_V))
    return np.asarray(np.where(seats_V > 1.5, share_V, np.nan)[votes.vote_of_sample_N], dtype=np.float64)


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
    votes = _gather(query, teacher, label)
    seats = np.bincount(query[_group(query, teacher)[0]], minlength=int(query.max()) + 1)
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
