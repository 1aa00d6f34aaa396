"""Reasoning and answers only in the same batches, told apart by a control word before the query.

Rows that ask to `reason` hold [x; r; y], rows that ask to answer `direct`ly [x; y].
"""

from __future__ import annotations

from engine.datasets.base import DATASETS, DatasetKind, Materials
from engine.datasets.label import unique_labels
from engine.datasets.rows import make_row
from engine.ports import Task
from engine.values import StageRow

DIRECT, REASON = "direct", "reason"
"""The student's prompts with either control word."""


def make(task: Task, given: Materials) -> list[StageRow]:
    """A row a selected sample, and one a query and label."""
    reasoned = [make_row(task, e, task.complete(e.rationale, e.label), REASON) for e in given.examples]
    return reasoned + [
        make_row(task, e, task.complete("", e.label), DIRECT) for e in unique_labels(task, given.examples)
    ]


DATASETS.add(
    "mixed", DatasetKind("reasoning and answers mixed", "[x; r; y] and [x; y], by a control word.", make, length=0.1)
)
