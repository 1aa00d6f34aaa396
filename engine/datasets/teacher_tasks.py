"""A task for the label, and one a teacher for the rationale (TinyLLM, Tian et al. 2024, arXiv 2402.04616).

The original shows the gold answer to its teachers; here nobody has it, and the pseudo-label stands in its place.
"""

from __future__ import annotations

from engine.datasets.base import DATASETS, DatasetKind, Materials
from engine.datasets.label import unique_labels
from engine.datasets.rows import make_row
from engine.datasets.two_tasks import PREDICT
from engine.ports import Task
from engine.values import StageRow


def make(task: Task, given: Materials) -> list[StageRow]:
    """A row a query and label, and one a selected sample under its teacher's name."""
    rows = [make_row(task, e, task.complete("", e.label), PREDICT) for e in unique_labels(task, given.examples)]
    for example in given.examples:
        completion, name = task.complete(example.rationale, example.label), example.teacher or "teacher"
        rows.append(make_row(task, example, completion, "explain-as", part=name, teacher=name))
    return rows


_HELP = "[x; y], and [x; r; y] by a prefix a teacher."
DATASETS.add("teacher-tasks", DatasetKind("label, and each teacher's rationale", _HELP, make, length=0.1))
