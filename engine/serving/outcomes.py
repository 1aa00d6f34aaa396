"""What systems answered to the held-out queries, as arrays, and what a ladder of them would have come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.serving.deferral.base import UNKNOWN, UNREAD, DeferralRule, Floats
from engine.values import EvalItem, hash_id

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Outcomes:
    """Answers of R systems to N queries, which all of them answered.

    Attributes:
        systems: their names, in the order of the ladder: who is asked first stands first, the reference last.
        queries: ids, in their order.
        kinds: of each query, None where it has none.
        right: whether an answer is right, (R, N).
        confidence: in [0, 1]; `UNKNOWN` where no log-prob was kept, `UNREAD` where no label is stated, (R, N).
        tokens: output tokens of an answer, (R, N).
        dollars: US dollars of an answer, NaN where not known, (R, N).
        seconds: NaN where not known, (R, N).
    """

    systems: tuple[str, ...]
    queries: tuple[str, ...]
    kinds: tuple[str | None, ...]
    right: Bools
    confidence: Floats
    tokens: Floats
    dollars: Floats
    seconds: Floats

    @property
    def count(self) -> int:
        """N."""
        return len(self.queries)

    def take(self, rows: Bools) -> Outcomes:
        """The queries of a mask (N,)."""
        chosen = np.flatnonzero(rows)
        return replace(
            self,
            queries=tuple(self.queries[i] for i in chosen),
            kinds=tuple(self.kinds[i] for i in chosen),
            **{name: getattr(self, name)[:, rows] for name in ("right", "confidence", *EFFORTS)},
        )


EFFORTS = ("tokens", "dollars", "seconds")
"""What an answer takes, by the names of the arrays."""


def gather(items: Sequence[EvalItem], systems: Sequence[str], dollars: dict[str, float | None]) -> Outcomes:
    """Scored answers of some systems as arrays, over the queries that all of them answered, in the order of their ids.

    Args:
        items: scored answers, of other systems too.
        systems: the ladder, the reference last.
        dollars: by system, what an answer costs on average; None: not known. An item's own cost goes before it.

    Raises:
        InputError: if a system answered nothing, or they share no query.
    """
    by_system: dict[str, dict[str, EvalItem]] = {name: {} for name in systems}
    for item in items:
        if item.system in by_system and item.correct is not None:
            by_system[item.system].setdefault(item.query_id, item)
    silent = [name for name, own in by_system.items() if not own]
    if silent or not systems:
        raise InputError(f"there is no scored answer of {', '.join(silent) or 'anybody'}")
    shared = sorted(set.intersection(*(set(own) for own in by_system.values())))
    if not shared:
        raise InputError(f"no held-out query was answered by all of {', '.join(systems)}")
    rows = [[own[query] for query in shared] for own in by_system.values()]
    kinds = tuple(next((row[i].kind for row in rows if row[i].kind), None) for i in range(len(shared)))
    cost = [[_or_nan(dollars.get(i.system) if i.cost is None else i.cost) for i in row] for row in rows]
    return Outcomes(
        systems=tuple(systems),
        queries=tuple(shared),
        kinds=kinds,
        right=np.array([[bool(item.correct) for item in row] for row in rows]),
        confidence=np.array([[find_confidence(item.label, item.log_prob) for item in row] for row in rows]),
        tokens=np.array([[float(item.tokens) for item in row] for row in rows]),
        dollars=np.array(cost, dtype=np.float64),
        seconds=np.array([[_or_nan(item.latency_s) for item in row] for row in rows], dtype=np.float64),
    )


def find_confidence(label: str | None, log_prob: float | None) -> float:
    """The confidence of an answer: the geometric mean probability of its label's tokens."""
    if label is None:
        return UNREAD
    return UNKNOWN if log_prob is None else min(1.0, math.exp(log_prob))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def choose_half(kinds: Mapping[str, str | None], seed: int = 0) -> frozenset[str]:
    """The half of some queries that is fitted on; the other certifies. Each kind is halved; the hash of an id decides.

    Args:
        kinds: of each query, by its id; None where it has none.
    """
    half, turn = set(), dict.fromkeys(kinds.values(), False)
    for query in sorted(kinds, key=lambda query: hash_id("half", seed, query)):
        turn[kinds[query]] = not turn[kinds[query]]
        if turn[kinds[query]]:
            half.add(query)
    return frozenset(half)


@dataclass(frozen=True)
class Climbed:
    """What a ladder came to on N queries.

    Attributes:
        by: the rung that answered, (N,).
        asked: which rungs were asked, (R, N).
        right: whether the answer is right, (N,).
        lost: 1 where the reference is right and the ladder is not, -1 the other way round, else 0, (N,).
    """

    by: Ints
    asked: Bools
    right: Bools
    lost: Ints

    def sum_effort(self, effort: Floats) -> Floats:
        """What a query took over all rungs that were asked, of an array (R, N) of `Outcomes`: (N,)."""
        return np.asarray(np.where(self.asked, effort, 0.0).sum(axis=0))


def climb_all(outcomes: Outcomes, rules: Sequence[DeferralRule]) -> Climbed:
    """The ladder on every query; one rule for each system but the last, which always answers."""
    bars = np.array([rule.find_bars(outcomes.kinds) for rule in rules]).reshape(len(rules), outcomes.count)
    return climb_with_bars(outcomes, bars)


def climb_with_bars(outcomes: Outcomes, bars: Floats) -> Climbed:
    """As `climb_all`, with bars (R - 1, N)."""
    last, count = len(outcomes.systems) - 1, outcomes.count
    open_, by = np.ones(count, dtype=bool), np.full(count, last)
    asked = np.zeros((last + 1, count), dtype=bool)
    for rung in range(last):
        asked[rung] = open_ & np.isfinite(bars[rung])
        answers = asked[rung] & (outcomes.confidence[rung] >= bars[rung])
        by[answers] = rung
        open_ &= ~answers
    asked[last] = open_
    right = outcomes.right[by, np.arange(count)]
    lost = outcomes.right[last].astype(np.int64) - right.astype(np.int64)
    return Climbed(by, asked, right, lost)
