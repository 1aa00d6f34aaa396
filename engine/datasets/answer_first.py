"""Answer first: [x; y; r]; a student can be stopped behind its answer (Wadhwa et al. 2024, arXiv 2406.14511)."""

from __future__ import annotations

from engine.datasets.base import DATASETS, DatasetKind, Materials
from engine.datasets.rows import Example, make_row
from engine.ports import Task
from engine.values import StageRow


def answer_first_row(task: Task, example: Example, rationale: str) -> StageRow:
    """A row [x; y; r]."""
    return make_row(task, example, f"{task.complete('', example.label)}\n{rationale.strip()}".rstrip())


def make(task: Task, given: Materials) -> list[StageRow]:
    """A row a selected sample."""
    return [answer_first_row(task, example, example.rationale) for example in given.examples]


DATASETS.add(
    "answer-first",
    DatasetKind("answer, then reasoning", "[x; y; r]: the rationale behind the answer.", make, length=0.1),
)
