"""What a student's confidence is worth: how wrong its surest answers are, share by share.

El-Yaniv & Wiener 2010, "On the Foundations of Noise-free Selective Classification"; the area under the curve as Geifman
et al. 2019, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", section 2. Answers that are equally sure
may be taken in any order, so each counts with their common share of wrong ones. Shapes: N answers, P points, G levels
of confidence, B draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.evaluation.measures import calibration
from engine.evaluation.measures.confidence import Floats, read_confidences
from engine.selection.arrays import Ints
from engine.values import EvalItem
from engine.values.report import Value

_RESAMPLES, _AT_ONCE = 1000, 100
_ENDS = (0.025, 0.975)
MOST_POINTS = 200
FIRST_SHARE = 0.05
"""The curve begins at this share of the answers: of fewer the share of wrong ones jumps from answer to answer."""


@dataclass(frozen=True)
class RiskCoverage:
    """A student's answers from the surest on.

    `coverage` and `risk` (P): the share that is answered, and the share of wrong ones among it. `auroc`: the chance
    that a right answer has the greater confidence than a wrong one; None where all are right or all wrong. `aurc`: the
    mean risk over all coverages. `calibration`: the measure of that name, as the report has it. `answers` counts all,
    of which `aurc.n` have a confidence.
    """

    system: str
    answers: int
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    auroc: Value | None
    aurc: Value
    calibration: Value


@dataclass(frozen=True)
class Levels:
    """Answers by confidence, the surest first, each with how often it counts.

    `confidence` and `right` (N) in that order; `begins` (G): where a level begins.
    """

    confidence: Floats
    right: Floats
    begins: Ints

    @classmethod
    def sort(cls, confidence: Floats, right: Floats) -> Levels:
        """Answers in any order, at least one of them."""
        order = np.argsort(-confidence, kind="stable")
        sure = confidence[order]
        return cls(sure, right[order], np.flatnonzero(np.diff(sure, prepend=np.inf)))

    def gather(self, times_BN: Ints) -> tuple[Floats, Floats]:
        """How many answers each level has and how many wrong ones, where each counts so many times; (B, G) both."""
        sizes = np.add.reduceat(times_BN, self.begins, axis=1).astype(np.float64)
        return sizes, np.add.reduceat(times_BN * (1.0 - self.right), self.begins, axis=1)


def trace_risk(confidence: Floats, right: Floats) -> Floats:
    """The expected share of wrong ones among the k surest answers, for k from 1 to N, (N,)."""
    levels = Levels.sort(confidence, right)
    sizes, wrong = (part[0] for part in levels.gather(np.ones((1, len(confidence)), dtype=np.int64)))
    each = np.repeat(wrong / sizes, sizes.astype(np.int64))
    return np.asarray(np.cumsum(each) / np.arange(1, len(each) + 1))


def find_area(levels: Levels, times_BN: Ints) -> Floats:
    """The area under the risk-coverage curve: the mean of `trace_risk`, (B,).

    Within a level of w answers with e wrong ones, behind W answers with E, the risk at k is (E + (k - W) e / w) / k, so
    that its sum over the level is (E - W e / w) (H(W + w) - H(W)) + e with harmonic numbers H.
    """
    size_BG, wrong_BG = levels.gather(times_BN)
    through_BG = np.cumsum(size_BG, axis=1)
    before_BG, wrong_before_BG = through_BG - size_BG, np.cumsum(wrong_BG, axis=1) - wrong_BG
    rate_BG = np.divide(wrong_BG, size_BG, out=np.zeros_like(wrong_BG), where=size_BG > 0)
    size = int(through_BG[0, -1])
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, size + 1))])
    spans_BG = harmonic[through_BG.astype(np.int64)] - harmonic[before_BG.astype(np.int64)]
    return np.asarray(((wrong_before_BG - before_BG * rate_BG) * spans_BG + wrong_BG).sum(axis=1) / size)


def find_auroc(levels: Levels, times_BN: Ints) -> Floats:
    """The chance that a right answer is surer than a wrong one, equals counting half, (B,).

    The statistic of Mann & Whitney 1947; NaN where all are right, or all wrong.
    """
    size_BG, wrong_BG = levels.gather(times_BN)
    right_BG = size_BG - wrong_BG
    surer_BG = np.cumsum(right_BG, axis=1) - right_BG
    pairs = right_BG.sum(axis=1) * wrong_BG.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((wrong_BG * (surer_BG + right_BG / 2)).sum(axis=1) / pairs)


_FIGURES: tuple[Callable[[Levels, Ints], Floats], ...] = (find_auroc, find_area)


def _estimate_all(levels: Levels) -> list[Value | None]:
    """These figures with percentile bootstrap intervals, widened to hold the estimate; None where one is unknown.

    Answers are drawn anew a thousand times, always the same way. Draws of which nothing is known, being all right or
    all wrong, are left out; one answer has no interval.
    """
    size, random = len(levels.confidence), np.random.default_rng(0)
    values = [float(of(levels, np.ones((1, size), dtype=np.int64))[0]) for of in _FIGURES]
    if size < 2:
        return [None if np.isnan(value) else Value(value, size) for value in values]
    draws_of: list[list[Floats]] = [[] for _ in _FIGURES]
    offset_B1 = np.arange(_AT_ONCE)[:, None] * size
    for _ in range(_RESAMPLES // _AT_ONCE):
        drawn = random.integers(size, size=(_AT_ONCE, size)) + offset_B1
        times_BN = np.bincount(drawn.reshape(-1), minlength=_AT_ONCE * size).reshape(_AT_ONCE, size)
        for figure, of in zip(draws_of, _FIGURES, strict=True):
            figure.append(of(levels, times_BN))
    return [
        None if np.isnan(value) else _around(value, size, draws) for value, draws in zip(values, draws_of, strict=True)
    ]


def _around(value: float, size: int, drawn: Sequence[Floats]) -> Value:
    low, high = (float(end) for end in np.nanquantile(np.concatenate(drawn), _ENDS))
    return Value(value, size, min(value, low), max(value, high))


def measure_risk_coverage(system: str, items: Sequence[EvalItem]) -> RiskCoverage | None:
    """What the confidences of one system's scored answers are worth; None where none has a log-prob.

    Answers without one state no label, or were written before log-probs were kept: they are left out.
    """
    confidence, right = read_confidences(items)
    size = len(confidence)
    if not size:
        return None
    levels = Levels.sort(confidence, right)
    auroc, aurc = _estimate_all(levels)
    error = calibration.of(items)
    if aurc is None or error is None:
        return None
    risk = trace_risk(confidence, right)
    begin = max(1, round(FIRST_SHARE * size))
    places = np.unique(np.linspace(begin, size, min(MOST_POINTS, size - begin + 1)).round().astype(np.int64))
    return RiskCoverage(
        system=system,
        answers=len(items),
        coverage=tuple((places / size).tolist()),
        risk=tuple(risk[places - 1].tolist()),
        auroc=auroc,
        aurc=aurc,
        calibration=error,
    )
