"""What systems answered to the held-out queries, as arrays, and what a ladder of them would have come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.second_draws import TEMPERATURE
from engine.serving.deferral.base import UNKNOWN, UNREAD, DeferralRule, Floats
from engine.values import EvalItem, hash_id

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SecondDrawArrays:
    """Second draws of R systems to N queries, all (R, N), NaN where there is none: what they took, and whether they
    `agree` with the greedy answer (1 or 0)."""

    agrees: Floats
    temperature: Floats
    tokens: Floats
    dollars: Floats
    seconds: Floats

    @classmethod
    def none(cls, systems: int, queries: int) -> SecondDrawArrays:
        """None at all."""
        return cls(*(np.full((systems, queries), math.nan) for _ in range(5)))

    def take(self, rows: Bools) -> SecondDrawArrays:
        """The queries of a mask (N,)."""
        return SecondDrawArrays(*(getattr(self, name)[:, rows] for name in ("agrees", "temperature", *EFFORTS)))

    @property
    def drawn_at(self) -> float | None:
        """The temperature of those there are; None without any."""
        known = self.temperature[~np.isnan(self.temperature)]
        return float(known[0]) if len(known) else None

    def check(self, students: Sequence[str]) -> None:
        """Whether all answers of students, the first of the systems, were drawn again, at one temperature.

        Raises:
            InputError: if not.
        """
        lacking = [name for name, row in zip(students, self.agrees, strict=False) if np.isnan(row).any()]
        if lacking:
            raise InputError(
                f"agreement of two draws needs a second draw of each answer, and they lack for {', '.join(lacking)}: "
                f"order them on the page Save, or by `tacit evaluate RUN --second-draw {TEMPERATURE:g} --of NAME`"
            )
        if len(set(self.temperature[: len(students)].ravel().tolist())) > 1:
            raise InputError("the second draws of these students were made at different temperatures: draw them again")


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
        second: second draws; None where there are none at all.
    """

    systems: tuple[str, ...]
    queries: tuple[str, ...]
    kinds: tuple[str | None, ...]
    right: Bools
    confidence: Floats
    tokens: Floats
    dollars: Floats
    seconds: Floats
    second: SecondDrawArrays | None = None

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
            second=None if self.second is None else self.second.take(rows),
            **{name: getattr(self, name)[:, rows] for name in ("right", "confidence", *EFFORTS)},
        )

    def see(self, rule: type[DeferralRule]) -> Outcomes:
        """The outcomes as a rule sees them: `confidence` is how sure it takes answers to be, and where it needs second
        draws the students' efforts hold those of both. The last system answers once: nothing asks whether it is sure.

        Raises:
            InputError: if it needs second draws, and a student has none, or others than another student.
        """
        second = self.second or SecondDrawArrays.none(len(self.systems), self.count)
        efforts = {name: getattr(self, name) for name in EFFORTS}
        if rule.draws_twice:
            second.check(self.systems[:-1])
            drawn = (self.confidence > UNREAD) & (np.arange(len(self.systems)) < len(self.systems) - 1)[:, None]
            efforts = {name: taken + np.where(drawn, getattr(second, name), 0.0) for name, taken in efforts.items()}
        return replace(self, confidence=rule.weigh(self.confidence, second.agrees), second=None, **efforts)


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
        second=_gather_second(rows, [dollars.get(name) for name in systems]),
    )


def _gather_second(rows: Sequence[Sequence[EvalItem]], dollars: Sequence[float | None]) -> SecondDrawArrays | None:
    """Second draws of R systems; the money of one is that of a mean answer of its system, by the seconds it took."""
    if all(item.second is None for row in rows for item in row):
        return None
    second = SecondDrawArrays.none(len(rows), len(rows[0]))
    for place, row in enumerate(rows):
        mean = float(np.mean([_or_nan(item.latency_s) for item in row]))
        rate = _or_nan(dollars[place]) / mean if mean else math.nan
        for i, item in enumerate(row):
            if (draw := item.second) is not None:
                second.agrees[place, i], second.temperature[place, i] = draw.agrees, draw.temperature
                second.tokens[place, i], second.seconds[place, i] = draw.tokens, _or_nan(draw.latency_s)
                second.dollars[place, i] = rate * second.seconds[place, i]
    return second


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
