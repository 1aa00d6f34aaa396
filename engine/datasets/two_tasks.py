"""Two tasks by prefix: the label, and the rationale (Distilling Step-by-Step, Hsieh et al. 2023, arXiv 2305.02301).

The original's rationale task emits the rationale alone. Here its answer line follows, so that a student can be scored
while it reasons: the paper's tables report such tokens.
"""

from __future__ import annotations

from engine.datasets.base import DATASETS, DatasetKind, Materials
from engine.datasets.label import unique_labels
from engine.datasets.rows import make_row
from engine.ports import Task
from engine.values import StageRow

PREDICT, EXPLAIN = "predict", "explain"
"""The student's prompts with either prefix."""


def make(task: Task, given: Materials) -> list[StageRow]:
    """A row a query and label, and one a selected sample."""
    labels = [make_row(task, e, task.complete("", e.label), PREDICT) for e in unique_labels(task, given.examples)]
    return labels + [
        make_row(task, e, task.complete(e.rationale, e.label), EXPLAIN, part="rationale") for e in given.examples
    ]


DATASETS.add(
    "two-tasks", DatasetKind("label and rationale as two tasks", "[x; y] and [x; r; y], by a prefix.", make, length=0.1)
)
