"""Whether to label the whole after a pilot: go, not yet or no, by stated bounds on what the pilot came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.evaluation.pilot import PilotFigures
from engine.values.report import Value


class PilotVerdict(StrEnum):
    """What to do after a pilot."""

    GO = "go"
    NOT_YET = "not yet"
    NO = "no"


_RANK = {PilotVerdict.GO: 0, PilotVerdict.NOT_YET: 1, PilotVerdict.NO: 2}


@dataclass(frozen=True)
class Bound:
    """What a figure must come to.

    It speaks for going on where the figure is `enough` and its interval lies no lower than `least`; against it where
    the whole interval lies below `least`; between the two more must be known, or changed. `before_all`: without it the
    other figures say too little to speak against anything.
    """

    name: str
    enough: float
    least: float = 0.0
    before_all: bool = False

    def judge(self, value: Value) -> PilotVerdict:
        """What a figure says by this bound."""
        low = value.value if value.low is None else value.low
        high = value.value if value.high is None else value.high
        if high < self.least:
            return PilotVerdict.NO
        return PilotVerdict.GO if value.value >= self.enough and low >= self.least else PilotVerdict.NOT_YET


ENOUGH_GOLDS = 20
"""Queries with a gold label from which on these say whether labels are right, and how far teachers agree no more.

Fewer only count where even their interval speaks against the teachers.
"""
_AGREED, _AGREED_LEAST = 0.5, 0.2
"""Of the way from chance to all."""
_OF: Mapping[str, Callable[[PilotFigures], Value | None]] = {
    "replied": lambda figures: figures.replied,
    "answered": lambda figures: Value(figures.answered, figures.queries) if figures.queries else None,
    "read": lambda figures: figures.read,
    "agreed": lambda figures: figures.agreed,
    "kept_queries": lambda figures: figures.kept_queries,
    "right": lambda figures: find_right(figures),
    "kept_right": lambda figures: figures.kept_right,
}


def list_bounds(label_space: int) -> tuple[Bound, ...]:
    """The bounds where a query can have so many labels, in the order in which they are told.

    Where 3 in 10 requests bring no reply a connection must be mended first. A reply that can't be read is paid for
    nothing. Where two teachers give one label hardly oftener than by chance, one
    in `label_space`, or labels are wrong by gold as often as right, a student would learn mistakes. Fewer answered
    queries than 20 leave intervals of 40 points.
    """
    chance = 1 / max(1, label_space)
    return (
        Bound("replied", 0.7, before_all=True),
        Bound("answered", 20, before_all=True),
        Bound("read", 0.8, 0.5),
        Bound("agreed", chance + _AGREED * (1 - chance), chance + _AGREED_LEAST * (1 - chance)),
        Bound("kept_queries", 0.25, 0.05),
        Bound("right", 0.7, 0.5),
        Bound("kept_right", 0.7, 0.5),
    )


@dataclass(frozen=True)
class FigureBound:
    """One figure by its bound; `verdict` is None where the figure is not known, or another one says more."""

    bound: Bound
    value: Value | None
    verdict: PilotVerdict | None


@dataclass(frozen=True)
class GoAhead:
    """What to do, the mark that decides it, and all marks.

    `decides` is None where all that is known speaks for going on, and where too little says whether labels are right:
    no two teachers answered a query, and hardly any gold label is known.
    """

    verdict: PilotVerdict
    decides: FigureBound | None
    marks: tuple[FigureBound, ...]

    def of(self, name: str) -> FigureBound:
        """The mark by the bound of that name."""
        return next(mark for mark in self.marks if mark.bound.name == name)


def find_right(figures: PilotFigures) -> Value | None:
    """The share of right labels that counts: the majority's, else of the one teacher of whom it is known."""
    known = [teacher.right for teacher in figures.teachers if teacher.right is not None]
    return figures.right or (known[0] if len(known) == 1 else None)


def judge_pilot(figures: PilotFigures) -> GoAhead:
    """The verdict: what stands before all else first, then the worst of what is known, the first of equals."""
    right = find_right(figures)
    settled = right is not None and right.n >= ENOUGH_GOLDS
    marks = []
    for bound in list_bounds(figures.label_space):
        value = _OF[bound.name](figures)
        verdict = None if value is None else bound.judge(value)
        by_gold = bound.name in ("right", "kept_right")
        if (bound.name == "agreed" and settled) or (by_gold and not settled and verdict is not PilotVerdict.NO):
            verdict = None
        marks.append(FigureBound(bound, value, verdict))
    known = [mark for mark in marks if mark.verdict is not None]
    stands_out = [mark for mark in known if mark.bound.before_all and mark.verdict is not PilotVerdict.GO]
    against = any(mark.verdict is PilotVerdict.NO for mark in known)
    if not stands_out and not against and figures.agreed is None and not settled:
        return GoAhead(PilotVerdict.NOT_YET, None, tuple(marks))
    worst = (stands_out or sorted(known, key=lambda mark: -_RANK[mark.verdict or PilotVerdict.GO]))[:1]
    if not worst or worst[0].verdict in (None, PilotVerdict.GO):
        return GoAhead(PilotVerdict.GO if known else PilotVerdict.NOT_YET, None, tuple(marks))
    return GoAhead(worst[0].verdict or PilotVerdict.GO, worst[0], tuple(marks))
