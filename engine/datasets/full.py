"""Full reasoning: G, the rationales as teachers wrote them (TwT, stage 1)."""

from __future__ import annotations

from collections.abc import Sequence

from engine.datasets.base import DATASETS, DatasetKind, Materials
from engine.datasets.rows import Example, make_row
from engine.ports import Task
from engine.values import StageRow

FULL = "full"


def rationale_rows(task: Task, examples: Sequence[Example]) -> list[StageRow]:
    """Rows [x; r; y]."""
    return [make_row(task, example, task.complete(example.rationale, example.label)) for example in examples]


def make(task: Task, given: Materials) -> list[StageRow]:
    """A row a selected sample."""
    return rationale_rows(task, given.examples)


DATASETS.add(FULL, DatasetKind("full reasoning", "[x; r; y] with the teachers' own rationales.", make, length=1.0))
