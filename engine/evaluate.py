"""Answers -> report: score with a 95% interval, tokens, latency, and paired differences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from engine.errors import StateError
from engine.ports import Task
from engine.types import Difference, EvalItem, Query, ReportRow

Z95 = 1.959963984540054


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a proportion (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, Z95 * Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def score_item(task: Task, query: Query, gold: str, item: EvalItem, read: bool = True) -> EvalItem:
    """Verify an answer. `read` takes the label out of the text; else it is the item's own (None: no label)."""
    label = task.read_answer(query, item.text) if read else item.label
    correct = label is not None and task.verify(query, label, gold)
    return EvalItem(item.system, item.query_id, query.kind, item.text, label, item.tokens, item.latency_s, correct)


def summarise(items: Sequence[EvalItem], measure: str = "accuracy") -> list[ReportRow]:
    """One row a system and kind, and one over all kinds, in the order the systems first appear.

    `measure` names what the items were scored against: gold labels (accuracy), or teachers (agreement).

    Raises:
        StateError: if an item has not been scored.
    """
    groups: dict[str, dict[str, list[EvalItem]]] = {}
    for item in items:
        kinds = groups.setdefault(item.system, {"all": []})
        kinds["all"].append(item)
        if item.kind is not None:
            kinds.setdefault(item.kind, []).append(item)
    return [_row(name, kind, members, measure) for name, kinds in groups.items() for kind, members in kinds.items()]


def _row(name: str, kind: str, items: Sequence[EvalItem], measure: str) -> ReportRow:
    if any(item.correct is None for item in items):
        raise StateError(f"{name}: some held-out queries have no gold label to score against")
    hits = sum(bool(item.correct) for item in items)
    low, high = wilson(hits, len(items))
    tokens = np.array([item.tokens for item in items], dtype=np.float64)
    latencies = [item.latency_s for item in items if item.latency_s is not None]
    return ReportRow(
        name=name,
        kind=kind,
        n=len(items),
        accuracy=hits / len(items),
        ci_low=low,
        ci_high=high,
        parse_rate=sum(item.label is not None for item in items) / len(items),
        mean_output_tokens=float(tokens.mean()),
        p95_output_tokens=float(np.percentile(tokens, 95)),
        mean_latency_s=float(np.mean(latencies)) if latencies else None,
        measure=measure,
    )


def compare(items: Sequence[EvalItem], name: str, baseline: str) -> Difference | None:
    """Accuracy of `name` minus that of `baseline` over the queries both answered.

    The interval is the Wald interval of a difference of matched proportions with half an observation added to each
    cell of the 2 x 2 table (Agresti & Min 2005). None where they share no query.
    """
    mine = {item.query_id: bool(item.correct) for item in items if item.system == name}
    theirs = {item.query_id: bool(item.correct) for item in items if item.system == baseline}
    shared = sorted(mine.keys() & theirs.keys())
    if not shared:
        return None
    n = len(shared)
    wins = sum(mine[q] and not theirs[q] for q in shared)
    losses = sum(theirs[q] and not mine[q] for q in shared)
    up, down, total = wins + 0.5, losses + 0.5, n + 2
    centre = (up - down) / total
    half = Z95 * math.sqrt(max(0.0, (up + down) - (up - down) ** 2 / total)) / total
    return Difference(name, baseline, n, (wins - losses) / n, max(-1.0, centre - half), min(1.0, centre + half))


def find_consensus(labels: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The label that most teachers give, by query; left out where fewer than two answered, or two labels tie.

    Args:
        labels: by query, then by teacher.
    """
    found = {}
    for query_id, given in labels.items():
        counts = Counter(given.values()).most_common(2)
        alone = len(counts) == 1 or (len(counts) == 2 and counts[0][1] > counts[1][1])
        if len(given) >= 2 and alone:
            found[query_id] = counts[0][0]
    return found


def break_even(cost: float, teacher_cost: float, student_cost: float) -> float | None:
    """After how many queries a student has paid back what it cost to make; None if a query saves nothing.

    All in one currency: the cost of making it, and of one answer of the teacher and of the student.
    """
    saved = teacher_cost - student_cost
    return cost / saved if saved > 0 else None


def auroc(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """Chance that a right answer scores above a wrong one, ties counted half. None where one class is empty."""
    score, truth = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    if truth.all() or not truth.any():
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    return float((rank[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def recommend(rows: Sequence[ReportRow], stages: Sequence[str], kind: str = "all") -> str | None:
    """The stage to ship: the one with the fewest mean output tokens whose interval reaches the best stage's score."""
    overall: Mapping[str, ReportRow] = {row.name: row for row in rows if row.kind == kind and row.name in stages}
    if not overall:
        return None
    best = max(overall.values(), key=lambda row: row.accuracy)
    fit = [row for row in overall.values() if row.ci_high >= best.accuracy]
    return min(fit, key=lambda row: row.mean_output_tokens).name
