"""Answers -> report: score with a 95% interval, tokens, latency, and paired differences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.errors import StateError
from engine.evaluation.measures import measure_all
from engine.ports import Task
from engine.tasks import verify_many
from engine.values import EvalItem, Query
from engine.values.report import WHOLE, Difference, ReportRow

Z95 = 1.959963984540054


def score_item(task: Task, query: Query, gold: str, item: EvalItem, read: bool = True) -> EvalItem:
    """Verify an answer. `read` takes the label out of the text; else it is the item's own (None: no label)."""
    label = task.read_answer(query, item.text) if read else item.label
    correct = label is not None and next(verify_many(task, [(query, label, gold)]))
    return replace(item, kind=query.kind, label=label, correct=correct)


def find_agreement(task: Task, query: Query, label: str | None, given: Mapping[str, str]) -> dict[str, bool]:
    """By teacher: whether an answer's label (None: it has none) is the one that the teacher gave, by its label key."""
    key = None if label is None else task.normalise(query, label) or label
    return {teacher: key == theirs for teacher, theirs in given.items()}


def summarise(items: Sequence[EvalItem], measure: str = "accuracy") -> list[ReportRow]:
    """One row a system and kind, and one over all kinds, in the order the systems first appear.

    `measure` names what the items were scored against: gold labels (accuracy), or teachers (agreement).

    Raises:
        StateError: if an item has not been scored.
    """
    groups: dict[str, dict[str, list[EvalItem]]] = {}
    for item in items:
        kinds = groups.setdefault(item.system, {WHOLE: []})
        kinds[WHOLE].append(item)
        if item.kind:
            kinds.setdefault(item.kind, []).append(item)
    return [_row(name, kind, members, measure) for name, kinds in groups.items() for kind, members in kinds.items()]


def _row(name: str, kind: str, items: Sequence[EvalItem], measure: str) -> ReportRow:
    if any(item.correct is None for item in items):
        raise StateError(f"{name}: some held-out queries have no gold label to score against")
    return ReportRow(name, kind, len(items), measure_all(items), measure)


def compare_all(items: Sequence[EvalItem], references: Sequence[str]) -> list[Difference]:
    """Each system against each reference that answered, paired by query."""
    systems = list(dict.fromkeys(item.system for item in items))
    differences = [
        compare(items, name, base) for base in references if base in systems for name in systems if name != base
    ]
    return [difference for difference in differences if difference is not None]


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
    consensus = {}
    for query_id, given in labels.items():
        counts = Counter(given.values()).most_common(2)
        alone = len(counts) == 1 or (len(counts) == 2 and counts[0][1] > counts[1][1])
        if len(given) >= 2 and alone:
            consensus[query_id] = counts[0][0]
    return consensus


def auroc(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """Chance that a right answer scores above a wrong one, ties counted half; None where one class is empty."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - only where confidences meet gold labels

    return float(roc_auc_score(right, scores)) if len(set(right)) == 2 else None


MARGIN = 0.02
"""How far below the best candidate a shorter one may lie, where the user sets nothing else: two points of 100."""


@dataclass(frozen=True)
class Verdict:
    """What to ship, and why. Differences are paired, with 95% intervals.

    ship: the candidate to ship; None: nothing is worth it yet. best: the candidate with the highest score. behind: what
    is shipped minus the best; None where it is the best itself. gained: what is shipped (where nothing is: the best)
    minus `baseline`, the better of the untrained students; None where none was scored. n: queries that `best` answered.
    """

    ship: str | None
    best: str
    baseline: str | None
    behind: Difference | None
    gained: Difference | None
    n: int
    margin: float


def recommend(
    items: Sequence[EvalItem], candidates: Sequence[str], untrained: Sequence[str], margin: float = MARGIN
) -> Verdict | None:
    """The trained student to ship: the fewest output tokens among those that are no worse than the best, if any helps.

    A candidate is no worse than the best where the 95% interval of their paired difference lies above -`margin`: a test
    of non-inferiority at one-sided 2.5% (Piaggio et al. 2012, JAMA 308(24), the CONSORT extension; FDA 2016,
    "Non-Inferiority Clinical Trials"). With few queries hardly anything but the best reaches that, and then the best is
    shipped: not being able to tell two apart is no reason to ship the lower one. Of equal scores the one with fewer
    tokens counts as the best. What is shipped must also gain over the better of the `untrained` students, by an
    interval that excludes 0; with none of them scored no gain is shown. One of several candidates is chosen on the same
    queries, so its own score is read a little high.

    Args:
        items: scored answers of all systems.
        candidates: the trained students: stages and baselines alike.
        untrained: the students before training, zero-shot and few-shot.
        margin: in [0, 1].

    Returns:
        None where no candidate has an answer.
    """
    by_system = {name: [item for item in items if item.system == name] for name in (*candidates, *untrained)}
    scores = {name: (_share_right(own), -_mean_tokens(own)) for name, own in by_system.items() if own}
    trained = [name for name in candidates if name in scores]
    if not trained:
        return None
    best = max(trained, key=lambda name: scores[name])
    baseline = max((name for name in untrained if name in scores), key=lambda name: scores[name], default=None)

    def minus(name: str, other: str | None) -> Difference | None:
        return None if other is None else compare([*by_system[name], *by_system[other]], name, other)

    behind = {name: minus(name, best) for name in trained if name != best}
    near = [
        best,
        *(name for name, difference in behind.items() if difference is not None and difference.ci_low >= -margin),
    ]
    gained = {name: minus(name, baseline) for name in near}
    fit = [name for name, difference in gained.items() if difference is not None and difference.ci_low > 0]
    ship = max(fit, key=lambda name: (scores[name][1], scores[name][0]), default=None)
    shown = ship or best
    return Verdict(ship, best, baseline, behind.get(shown), gained[shown], len(by_system[best]), margin)


def _share_right(items: Sequence[EvalItem]) -> float:
    return sum(bool(item.correct) for item in items) / len(items)


def _mean_tokens(items: Sequence[EvalItem]) -> float:
    return sum(item.tokens for item in items) / len(items)
