"""The table of a study, made of its records alone: arms over seeds and queries, and the differences between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError
from engine.study import FINISHED, Grid, StudyRecord, list_cells

DRAWS = 10_000
"""Resamples of a bootstrap."""
_LEAST_SEEDS = 3


@dataclass(frozen=True)
class ArmResult:
    """What an arm came to over its seeds and the queries that all records share, with 95% intervals over both.

    `failed` counts the seeds whose run did not finish; they are in no number.
    """

    arm: str
    seeds: int
    failed: int
    n: int
    score: float
    low: float
    high: float
    tokens: float
    by_kind: Mapping[str, float]


@dataclass(frozen=True)
class Contrast:
    """The difference in score of two arms on the same queries, with a 95% interval over seeds and queries.

    `p` is two-sided, by the same resamples; None where an arm has fewer than three seeds, of which nothing can be told.
    `p_holm` is corrected for all contrasts but the one that was chosen beforehand (Holm 1979), whose own it is.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p: float | None
    p_holm: float | None
    chosen: bool


@dataclass(frozen=True)
class Point:
    """Accuracy against output tokens of one student of an arm, its stages among them, as a mean over seeds."""

    arm: str
    system: str
    score: float
    tokens: float
    seeds: int
    counts: bool


@dataclass(frozen=True)
class StudyResult:
    """The table of a study, its contrasts, which runs failed or are missing, in words, and all students' points."""

    arms: tuple[ArmResult, ...]
    contrasts: tuple[Contrast, ...]
    missing: tuple[str, ...]
    points: tuple[Point, ...] = ()


def summarise_study(grid: Grid, records: Sequence[StudyRecord], draws: int = DRAWS, seed: int = 0) -> StudyResult:
    """The table of a study from its records: scores over seeds and queries, and differences between arms.

    Seeds and queries are resampled together (a bootstrap of two levels): the seeds of each arm by themselves, since
    runs are independent, the queries for all arms at once, since they are the same. Resampling S seeds shows too little
    of their variance: deviations from the mean over seeds are widened by sqrt(S / (S - 1)) and by Student's t over the
    normal quantile. With one seed an interval is over queries alone.

    Raises:
        InputError: if records of one arm and seed contradict each other, those of an arm are of different selections,
            all were not scored by the same labels, or they share no query.
    """
    cells = _collect(grid, records)
    scored_by = {str(record.facts.get("scored_by")) for record in cells.values() if record.status == FINISHED}
    if len(scored_by) > 1:
        raise InputError("the records were scored against different labels; score them all by the same ones")
    for arm in grid.arms:
        of_arm = [record for (name, _), record in cells.items() if name == arm.name and record.status == FINISHED]
        if len({record.facts.get("selected") for record in of_arm}) > 1:
            raise InputError(f"the records of {arm.name} are of students trained on different selections of samples")
    missing = tuple(_say_missing(grid, cells))
    done = {
        arm.name: [r for s in grid.seeds if (r := cells.get((arm.name, s))) and r.status == FINISHED]
        for arm in grid.arms
    }
    done = {arm: rows for arm, rows in done.items() if rows}
    if not done:
        return StudyResult((), (), missing)
    answered = [{answer[0] for answer in record.answers} for rows in done.values() for record in rows]
    queries = sorted(set.intersection(*answered))
    if not queries:
        raise InputError("the records share no query, so nothing can be compared")
    right = {arm: _matrix(rows, queries, 2) for arm, rows in done.items()}
    resamples = _resample(right, len(queries), draws, seed)
    kinds = {query: kind for query, kind, *_ in next(iter(done.values()))[0].answers}
    arms = tuple(
        _arm_result(grid, name, done[name], right[name], resamples[name], [kinds[q] for q in queries], queries)
        for name in done
    )
    return StudyResult(arms, _contrast_all(grid, right, resamples), missing, tuple(_list_points(done)))


def _list_points(done: Mapping[str, Sequence[StudyRecord]]) -> Iterator[Point]:
    """The students of each arm that any of its records has."""
    for arm, records in done.items():
        scored = [(record.system, record.facts.get("systems") or {}) for record in records]
        for system in dict.fromkeys(name for _, systems in scored for name in systems):
            rows = [systems[system] for _, systems in scored if system in systems]
            score = sum(row["right"] / row["n"] for row in rows) / len(rows)
            tokens = sum(row["tokens"] for row in rows) / len(rows)
            yield Point(arm, system, score, tokens, len(rows), system in {name for name, _ in scored})


def _collect(grid: Grid, records: Sequence[StudyRecord]) -> dict[tuple[str, int], StudyRecord]:
    cells: dict[tuple[str, int], StudyRecord] = {}
    settings = {(cell.arm.name, cell.seed): cell.settings for cell in list_cells(grid)}
    for record in records:
        place = (record.arm, record.seed)
        if record.study != grid.name or record.settings != settings.get(place):  # of another grid, or one of before
            continue
        known = cells.get(place)
        if (
            known is not None
            and known.status == record.status == FINISHED
            and sorted(known.answers) != sorted(record.answers)
        ):
            raise InputError(f"two records of {record.arm}, seed {record.seed}, hold other answers; keep one of them")
        if known is None or known.status != FINISHED:
            cells[place] = record
    return cells


def _say_missing(grid: Grid, cells: Mapping[tuple[str, int], StudyRecord]) -> list[str]:
    said = []
    for arm in grid.arms:
        for seed in grid.seeds:
            record = cells.get((arm.name, seed))
            if record is None:
                said.append(f"{arm.name}, seed {seed}: not run yet")
            elif record.status != FINISHED:
                said.append(f"{arm.name}, seed {seed}: {record.status}: {record.message}")
    return said


def _matrix(records: Sequence[StudyRecord], queries: Sequence[str], place: int) -> NDArray[np.float64]:
    """A number of each answer, (S, Q): seeds by queries."""
    rows = []
    for record in records:
        by_query = {answer[0]: float(answer[place]) for answer in record.answers}
        rows.append([by_query[query] for query in queries])
    return np.array(rows)


def _resample(
    right: Mapping[str, NDArray[np.float64]], queries: int, draws: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """The mean of each arm in each resample, (D,); the queries of a resample are the same for all arms."""
    rng = np.random.default_rng(seed)
    counts_DQ = rng.multinomial(queries, np.full(queries, 1 / queries), size=draws)
    means = {}
    for arm, matrix_SQ in right.items():
        seeds = len(matrix_SQ)
        weights_DS = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
        by_seed_DS = counts_DQ @ matrix_SQ.T / queries
        mean_D = by_seed_DS.mean(axis=1)
        means[arm] = mean_D + _widen(seeds) * ((weights_DS * by_seed_DS).sum(axis=1) - mean_D)
    return means


def _widen(seeds: int) -> float:
    """By how much deviations between resampled seeds are too small for a 95% interval."""
    from scipy.stats import norm, t  # noqa: PLC0415 - only where a study is summed up

    if seeds < 2:
        return 0.0
    return float(math.sqrt(seeds / (seeds - 1)) * t.ppf(0.975, seeds - 1) / norm.ppf(0.975))


def _arm_result(
    grid: Grid,
    name: str,
    records: Sequence[StudyRecord],
    right_SQ: NDArray[np.float64],
    resamples_D: NDArray[np.float64],
    kinds: Sequence[str],
    queries: Sequence[str],
) -> ArmResult:
    low, high = np.percentile(resamples_D, [2.5, 97.5])
    kind_Q = np.array(kinds)
    by_kind = {kind: float(right_SQ[:, kind_Q == kind].mean()) for kind in sorted(set(kinds)) if kind}
    return ArmResult(
        arm=name,
        seeds=len(records),
        failed=len(grid.seeds) - len(records),
        n=len(queries),
        score=float(right_SQ.mean()),
        low=float(low),
        high=float(high),
        tokens=float(_matrix(records, queries, 3).mean()),
        by_kind=by_kind,
    )


def _contrast_all(
    grid: Grid, right: Mapping[str, NDArray[np.float64]], resamples: Mapping[str, NDArray[np.float64]]
) -> tuple[Contrast, ...]:
    """The chosen contrast, then every other pair with the first of the chosen, corrected for their number."""
    base, other = grid.contrast
    pairs = [(base, other)] if {base, other} <= right.keys() else []
    pairs += [(base, name) for name in right if name not in grid.contrast and base in right]
    rows = []
    for first, second in pairs:
        gap_D = resamples[first] - resamples[second]
        low, high = np.percentile(gap_D, [2.5, 97.5])
        tail = min((gap_D <= 0).sum(), (gap_D >= 0).sum())
        enough = min(len(right[first]), len(right[second])) >= _LEAST_SEEDS
        p = min(1.0, float(2 * (tail + 1) / (len(gap_D) + 1))) if enough else None
        difference = float(right[first].mean() - right[second].mean())
        chosen = (first, second) == grid.contrast
        rows.append(Contrast(first, second, difference, float(low), float(high), p, p, chosen))
    others: dict[str, float] = {row.second: row.p for row in rows if not row.chosen and row.p is not None}
    by_name = dict(zip(others, correct_holm(list(others.values())), strict=True))
    return tuple(row if row.chosen else replace(row, p_holm=by_name.get(row.second)) for row in rows)


def correct_holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979), in their order."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    corrected, most = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        most = max(most, min(1.0, values[place] * (len(values) - rank)))
        corrected[place] = most
    return corrected
