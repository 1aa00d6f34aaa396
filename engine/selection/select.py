"""DCRS, step 1 of the method: which samples make the distillation set, as pure functions on arrays.

The input has no place for a gold label. Shapes: N samples, F factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.errors import ConfigError
from engine.selection.arrays import CODES, TOLERANCE, Bools, Floats, Selection, SelectionInput, find_differing
from engine.selection.calibration import temper
from engine.selection.factors import FACTORS, Scored
from engine.selection.rules import Stage, State
from engine.selection.settings import SelectionConfig
from engine.values import Query, Reason

_KNOWN = 0.5
"""Share of the weight that must lie on known factors: missing evidence is not evidence."""
_OPEN_LABELS = 100
"""Labels that an open answer space is taken to have in Dawid-Skene."""


def score_factors(
    weights: Mapping[str, float], reported: Mapping[str, Floats], given: Scored, known: dict[str, Floats] | None = None
) -> dict[str, Floats]:
    """The weighted factors' scores by name, each of shape (N,).

    `reported` are those of the teachers, all of which count alike where `weights` is empty. What is computed is put
    into `known`, and taken there.

    Raises:
        ConfigError: if a weight names no factor.
    """
    known = {} if known is None else known
    names = tuple(weights) or tuple(reported)
    unknown = [name for name in names if name not in reported and name not in FACTORS.names()]
    if unknown:
        there = ", ".join((*reported, *FACTORS.names()))
        raise ConfigError(f"no factor is named {', '.join(unknown)}; there are {there}")
    columns = {}
    for name in names:
        if name not in reported and name not in known:
            known[name] = FACTORS.get(name).score(given)
        columns[name] = reported[name] if name in reported else known[name]
    return columns


def count_labels(queries: Sequence[Query]) -> int:
    """How many labels a query can have: the most choices of one, else what an open answer space is taken to have."""
    return max((len(query.choices) for query in queries), default=0) or _OPEN_LABELS


def weigh(factors: Floats, names: Sequence[str], weights: Mapping[str, float]) -> tuple[Floats, Bools]:
    """c_ij = sum_l w_l m_l (the paper's confidence), the weights of missing factors spread over the others.

    Returns:
        Confidence (N,), NaN where less than half of the weight lies on known factors, and where weights were
        renormalised (N,).

    Raises:
        ConfigError: if a weight names no factor.
    """
    unknown = set(weights) - set(names)
    if unknown:
        raise ConfigError(f"weights name {sorted(unknown)}, but the factors are {list(names)}")
    weight_F = np.array([weights.get(name, 0.0) for name in names], dtype=np.float64)
    weight_F = weight_F / weight_F.sum()
    used_F = weight_F > 0
    known_NF = ~np.isnan(factors[:, used_F])
    weight_F = weight_F[used_F]
    # Products summed row by row: a matrix product may differ in its last bit with the place of a row.
    mass_N = (known_NF * weight_F).sum(axis=1)
    value_N = (np.where(known_NF, factors[:, used_F], 0.0) * weight_F).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        confidence_N = np.where(mass_N >= _KNOWN - TOLERANCE, value_N / mass_N, np.nan)
    return confidence_N, np.asarray(~known_NF.all(axis=1))


def select(samples: SelectionInput, config: SelectionConfig) -> Selection:
    """Decide for every sample whether it is kept, and why, by the rules one after the other.

    Raises:
        ConfigError: if a weight names no factor.
    """
    state, renormalised = _begin(samples, config)
    for rule in config.rules:
        state = rule.apply(state)
        if rule.stage <= Stage.QUALITY:
            state = replace(state, retained=state.retained & state.stays)
    retained = np.flatnonzero(state.retained)
    disagreements = int(find_differing(samples, retained).sum())
    return Selection(state.confidence, renormalised, state.reason, state.similarity, disagreements)


def order_samples(samples: SelectionInput, config: SelectionConfig) -> Floats:
    """What these settings would keep first were their bounds moved: greater first, equal where they don't tell apart.

    Where several rules order, the earlier one goes first; where none does, all are equal.

    Returns:
        Shape (N,), NaN where the first such rule knows nothing.

    Raises:
        ConfigError: if a weight names no factor.
    """
    state, _ = _begin(samples, config)
    keys = [key for rule in config.rules if (key := rule.order(state)) is not None]
    count = len(samples.query)
    if not keys or not count:
        return np.zeros(count)
    filled = [np.where(np.isnan(key), -np.inf, key) for key in keys]
    ranked = np.lexsort(filled[::-1])
    rises = np.any([key[ranked][1:] != key[ranked][:-1] for key in filled], axis=0)
    place = np.empty(count)
    place[ranked] = np.concatenate([[0], np.cumsum(rises)])
    return np.where(np.isnan(keys[0]), np.nan, place)


def _begin(samples: SelectionInput, config: SelectionConfig) -> tuple[State, Bools]:
    """A selection before its first rule, and where weights were renormalised, (N,)."""
    count = len(samples.query)
    confidence, renormalised = np.full(count, np.nan), np.zeros(count, dtype=bool)
    if config.needs_confidence:
        weights = config.weights or dict.fromkeys(samples.names, 1.0)
        confidence, renormalised = weigh(samples.factors, samples.names, weights)
        confidence = temper(confidence, config.temperature)
    all_, kept = np.ones(count, dtype=bool), Reason.KEPT if config.rules else Reason.KEPT_UNSELECTED
    reason, similarity = np.full(count, CODES[kept]), np.full(count, np.nan)
    return State(samples, confidence, config.by_agreement, all_, all_, reason, similarity), renormalised


def apply_decisions(chosen: Selection, ids: Sequence[str], decided: Mapping[str, str]) -> Selection:
    """The selection with a person's decisions over it: keep or drop, by sample id. `ids` (N) are in their order."""
    if not decided:
        return chosen
    reason, names = chosen.reason.copy(), np.array(ids)
    for action, by_hand in (("keep", Reason.KEPT_BY_HAND), ("drop", Reason.DROPPED_BY_HAND)):
        own = np.array([sample_id for sample_id, what in decided.items() if what == action], dtype=names.dtype)
        places = np.minimum(np.searchsorted(names, own), len(names) - 1)
        reason[places[names[places] == own]] = CODES[by_hand]
    return chosen._replace(reason=reason)
