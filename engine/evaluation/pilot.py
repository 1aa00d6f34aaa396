"""What a pilot says of its teachers before the whole is paid for: shares, agreement, reliability and money.

Pure functions on arrays. Shapes: R samples that were asked for, N samples that came, Q queries, T teachers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from engine.errors import ErrorKind
from engine.evaluation.measures.score import wilson
from engine.selection.arrays import TOLERANCE, Bools, Floats, Ints
from engine.selection.comparison import RIGHT, UNSCORED
from engine.selection.factors.agreement import plain_agreement
from engine.selection.factors.dawid_skene import dawid_skene
from engine.selection.factors.votes import gather_votes, group_rows
from engine.values.report import Value

PILOT = 50
"""The most queries that a pilot asks."""
FAILED, UNREAD, READ = 0, 1, 2
"""What came of a sample that was asked for: no reply, a reply without a label that could be read, a sample."""
_ANSWERED = {
    *(ErrorKind.REFUSED, ErrorKind.TRUNCATED, ErrorKind.UNPARSABLE, ErrorKind.NOT_A_CHOICE),
    *(ErrorKind.CONTENT_FILTER, ErrorKind.NOT_JSON),
}
"""Kinds of errors of which a teacher did answer."""
_RESAMPLES, _FEWER_RESAMPLES = 1000, 200
_ENDS = (0.025, 0.975)
T = TypeVar("T")


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many items, evenly out of all: a file may hold its queries kind by kind."""
    total = len(items)
    return [item for place, item in enumerate(items) if (place + 1) * most // total > place * most // total]


def find_outcome(read: bool, error: str | None) -> int:
    """What came of a sample that was asked for, by whether some attempt gave it and by the error of the last one."""
    return READ if read else UNREAD if error in _ANSWERED else FAILED


@dataclass(frozen=True)
class PilotInput:
    """What a pilot brought.

    Attributes:
        teachers: names by index, (T,).
        asked_query, asked_teacher: index of query and teacher of each sample that was to be asked for, (R,).
        outcome: FAILED, UNREAD or READ, (R,).
        query, teacher, label: of each sample that came, as `SelectionInput` has them, (N,).
        kept: whether the project's selection keeps it, (N,); None where that can't be told.
        verdict: whether its label is right by gold, RIGHT, WRONG or UNSCORED, (N,).
        cost: US dollars that the requests of a query cost, NaN where that is not known, (Q,).
        label_space: how many labels a query can have.
        whole: how many queries the whole labelling asks.
    """

    teachers: tuple[str, ...]
    asked_query: Ints
    asked_teacher: Ints
    outcome: Ints
    query: Ints
    teacher: Ints
    label: Ints
    kept: Bools | None
    verdict: Ints
    cost: Floats
    label_space: int
    whole: int

    @property
    def fingerprint(self) -> str:
        """Equal of inputs that hold the same, so that what they come to is measured once."""
        whole = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            is_array = isinstance(value, np.ndarray)
            whole.update(repr((field.name, value.dtype.str, value.shape) if is_array else (field.name, value)).encode())
            whole.update(value.tobytes() if is_array else b"")
        return whole.hexdigest()


@dataclass(frozen=True)
class TeacherFigures:
    """One teacher in a pilot. `asked` counts samples, `replied` those that some reply came for.

    `read`: the share of replies that could be read. `agreement`: the mean share of the other teachers that give its
    label. `reliability`: its accuracy by Dawid-Skene, from three teachers on. `right`: the share of its labels that are
    right by gold. None where nothing is known.
    """

    name: str
    asked: int
    replied: int
    read: Value | None
    agreement: Value | None
    reliability: Value | None
    right: Value | None


@dataclass(frozen=True)
class PilotFigures:
    """What a pilot came to; each `Value` has a 95% interval over queries, None where nothing is known.

    `asked` counts samples, `queries` those that were asked, `answered` those with a sample. `replied`: the share of
    `asked` that some reply came for; `read`: of those replies the share that could be read. `agreed`: the chance that
    two teachers give a query one label, over queries that two or more answered. `right`: of the labels that over half
    of a query's teachers give the share that is right by gold. `kept_queries` and `kept`: the share of queries that
    keep a sample, and of samples; `kept_right`: of kept samples the share that is right by gold. `cost`, `kept_in_all`:
    US dollars and kept samples of the whole labelling; `cost_each`: US dollars a kept sample, whose interval has no
    upper end where nothing may be kept. `whole`: queries of the whole labelling. `label_space`: how many labels a query
    can have.
    """

    queries: int
    answered: int
    asked: int
    whole: int
    label_space: int
    teachers: tuple[TeacherFigures, ...]
    replied: Value | None
    read: Value | None
    agreed: Value | None
    right: Value | None
    kept_queries: Value | None
    kept: Value | None
    kept_right: Value | None
    cost: Value | None
    cost_each: Value | None
    kept_in_all: Value | None


def measure_pilot(given: PilotInput) -> PilotFigures:
    """All figures of a pilot. The intervals are the same each time."""
    size, replied = len(given.cost), given.outcome != FAILED
    majority = _find_majority(given)
    ones, answered = np.ones(size), np.bincount(given.query, minlength=size) > 0
    samples = np.bincount(given.query, minlength=size).astype(np.float64)
    kept = None if given.kept is None else np.bincount(given.query[given.kept], minlength=size).astype(np.float64)
    scored = majority & (given.verdict != UNSCORED)
    judged, hit = (_any_of(given.query, rows, size) for rows in (scored, scored & (given.verdict == RIGHT)))
    asked = np.bincount(given.asked_query, minlength=size)
    came = np.bincount(given.asked_query[replied], minlength=size)
    read = np.bincount(given.asked_query[given.outcome == READ], minlength=size)
    known = kept is not None and not np.isnan(given.cost).any()
    return PilotFigures(
        queries=size,
        answered=int(answered.sum()),
        asked=len(given.outcome),
        whole=given.whole,
        label_space=given.label_space,
        teachers=_measure_teachers(given),
        replied=estimate_ratio(came, asked, share=True),
        read=estimate_ratio(read, came, share=True),
        agreed=_estimate_agreement(given),
        right=_share_of(int(hit.sum()), int(judged.sum())),
        kept_queries=None if kept is None else _share_of(int((kept > 0).sum()), int(answered.sum())),
        kept=None if kept is None else estimate_ratio(kept, samples, share=True),
        kept_right=None if given.kept is None else _estimate_right(given, given.kept),
        cost=None if np.isnan(given.cost).any() else _scale(estimate_ratio(given.cost, ones), given.whole),
        cost_each=estimate_ratio(given.cost, kept) if known and kept is not None else None,
        kept_in_all=None if kept is None else _scale(estimate_ratio(kept, ones), given.whole),
    )


def _measure_teachers(given: PilotInput) -> tuple[TeacherFigures, ...]:
    reliabilities = _estimate_reliabilities(given)
    agreement = plain_agreement(given.query, given.teacher, given.label)
    return tuple(_measure_teacher(given, *both, agreement) for both in enumerate(reliabilities))


def _measure_teacher(given: PilotInput, place: int, reliability: Value | None, agreement: Floats) -> TeacherFigures:
    size, asked, own = len(given.cost), given.asked_teacher == place, given.teacher == place
    outcome = given.outcome[asked]
    replied, read = int((outcome != FAILED).sum()), int((outcome == READ).sum())
    paired = own & ~np.isnan(agreement)
    return TeacherFigures(
        name=given.teachers[place],
        asked=int(asked.sum()),
        replied=replied,
        read=_share_of(read, replied),
        agreement=estimate_ratio(
            np.bincount(given.query[paired], agreement[paired], size),
            np.bincount(given.query[paired], minlength=size),
            share=True,
        ),
        reliability=reliability,
        right=_estimate_right(given, own),
    )


def _estimate_right(given: PilotInput, rows: Bools) -> Value | None:
    """The share of right labels by gold among some samples."""
    size, scored = len(given.cost), rows & (given.verdict != UNSCORED)
    hits = np.bincount(given.query[scored & (given.verdict == RIGHT)], minlength=size)
    return estimate_ratio(hits, np.bincount(given.query[scored], minlength=size), share=True)


def _find_majority(given: PilotInput) -> Bools:
    """Whether a sample's label is the one that over half of its query's teachers give, two at least, (N,)."""
    if not len(given.query):
        return np.zeros(0, dtype=bool)
    votes = gather_votes(given.query, given.teacher, given.label)
    seats = np.bincount(votes.query_V, votes.share_V)[votes.query_of_cell_C]
    cells = np.bincount(votes.cell_V, votes.share_V)
    wins = (2 * cells > seats + TOLERANCE) & (seats > 1 + TOLERANCE)
    return np.asarray(wins[votes.cell_V][votes.vote_of_sample_N])


def _estimate_agreement(given: PilotInput) -> Value | None:
    """The chance that two teachers give a query one label; the draws of a teacher share its one vote."""
    agreement = plain_agreement(given.query, given.teacher, given.label)
    paired = ~np.isnan(agreement)
    if not paired.any():
        return None
    query, teacher = given.query[paired], given.teacher[paired]
    _, seat, draws = group_rows(query, teacher)
    weight, size = 1 / draws[seat], len(given.cost)
    seats = np.bincount(query, weight, size)
    over = np.bincount(query, weight * agreement[paired], size)
    return estimate_ratio(np.divide(over, seats, out=np.zeros(size), where=seats > 0), seats > 0, share=True)


def _any_of(query: Ints, rows: Bools, size: int) -> Bools:
    """Whether a query has some of these rows, (Q,)."""
    return np.asarray(np.bincount(query[rows], minlength=size) > 0)


def _share_of(hits: int, n: int) -> Value | None:
    """A share with Wilson's interval; None of nothing."""
    return Value(hits / n, n, *wilson(hits, n)) if n else None


def estimate_ratio(over: Floats | Ints, under: Floats | Ints | Bools, share: bool = False) -> Value | None:
    """The ratio of two sums over queries, with its percentile bootstrap interval; None where `under` is nothing.

    Queries are drawn anew a thousand times, always the same way (Efron & Tibshirani 1993, chapter 13): what belongs to
    one query goes together. `n` counts the queries that have a part in it. A `share` of none or all of them leaves a
    bootstrap nothing to vary, so its interval is Wilson's, of queries; without `under` of a draw there is no upper end.

    Args:
        over: what is counted of a query, (Q,).
        under: what it is counted of, (Q,), not negative.
        share: whether the ratio is one of a part to its whole, each query's from 0 to 1.
    """
    part = under > 0
    n, whole = int(part.sum()), float(under.sum())
    if not n:
        return None
    value = float(over.sum()) / whole
    if share and (not over.any() or bool(np.allclose(over[part], under[part]))):
        return Value(value, n, *wilson(n if value else 0, n))
    if not over.any():
        return Value(0.0, n, 0.0, 0.0)
    drawn = np.random.default_rng(0).multinomial(len(under), np.full(len(under), 1 / len(under)), _RESAMPLES)
    sums = drawn @ np.stack([over, under], axis=1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], np.nan if share else np.inf)
    low, high = (float(end) for end in np.nanquantile(ratios, _ENDS, method="inverted_cdf"))
    return Value(value, n, min(value, low), max(value, high) if np.isfinite(high) else None)


def _scale(value: Value | None, factor: int) -> Value | None:
    if value is None or value.low is None or value.high is None:
        return value
    return Value(value.value * factor, value.n, value.low * factor, value.high * factor)


def _estimate_reliabilities(given: PilotInput) -> list[Value | None]:
    """Each teacher's reliability with its bootstrap interval over queries, (T,); None where it can't be told."""
    size = len(given.cost)
    value_T = _find_reliabilities(given, np.arange(size)[None])[0]
    if np.isnan(value_T).all():
        return [None] * len(given.teachers)
    drawn_BQ = np.random.default_rng(0).integers(size, size=(_FEWER_RESAMPLES, size))
    reliability_BT = _find_reliabilities(given, drawn_BQ)
    values: list[Value | None] = []
    for place, value in enumerate(value_T.tolist()):
        drawn = reliability_BT[:, place][~np.isnan(reliability_BT[:, place])]
        low, high = (float(end) for end in np.quantile(drawn, _ENDS)) if len(drawn) else (0.0, 1.0)
        queries = len(np.unique(given.query[given.teacher == place]))
        values.append(None if np.isnan(value) else Value(value, queries, min(value, low), max(value, high)))
    return values


def _find_reliabilities(given: PilotInput, drawn_BQ: Ints) -> Floats:
    """By Dawid-Skene over each of some draws of queries, (B, T); NaN where fewer than three teachers took part.

    All draws are fitted at once, each with teachers of its own: so none tells anything of another.
    """
    draws, teachers = len(drawn_BQ), len(given.teachers)
    order = np.argsort(given.query, kind="stable")
    sizes = np.bincount(given.query, minlength=len(given.cost))
    drawn = drawn_BQ.reshape(-1)
    begins, taken = (np.cumsum(sizes) - sizes)[drawn], sizes[drawn]
    rows = order[np.arange(taken.sum()) + np.repeat(begins - (np.cumsum(taken) - taken), taken)]
    slot = np.repeat(np.arange(len(drawn)), taken)
    teacher = given.teacher[rows] + slot // max(1, drawn_BQ.shape[1]) * teachers
    query = np.unique(slot, return_inverse=True)[1].astype(np.int64)
    fitted = dawid_skene(query, teacher, given.label[rows], given.label_space).reliability
    reliability = np.full(draws * teachers, np.nan)
    reliability[: len(fitted)] = fitted
    there_BT = np.bincount(teacher, minlength=draws * teachers).reshape(draws, teachers) > 0
    enough_BT = there_BT & (there_BT.sum(axis=1) >= 3)[:, None]
    return np.asarray(np.where(enough_BT, reliability.reshape(draws, teachers), np.nan), dtype=np.float64)
