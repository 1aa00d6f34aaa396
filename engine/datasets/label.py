"""Answers only: G'', the labels without any rationale (TwT, stage 3, and Standard KD)."""

from __future__ import annotations

from collections.abc import Sequence

from engine.datasets.base import DATASETS, DatasetKind, Materials
from engine.datasets.rows import Example, make_row
from engine.ports import Task
from engine.values import StageRow, hash_id


def unique_labels(task: Task, examples: Sequence[Example]) -> list[Example]:
    """The first example of each query and label, however many rationales led to it."""
    unique: dict[str, Example] = {}
    for example in examples:
        unique.setdefault(hash_id(example.query.id, task.normalise(example.query, example.label)), example)
    return list(unique.values())


def label_rows(task: Task, examples: Sequence[Example]) -> list[StageRow]:
    """Rows [x; y], each (x, y) once."""
    return [make_row(task, example, task.complete("", example.label)) for example in unique_labels(task, examples)]


def make(task: Task, given: Materials) -> list[StageRow]:
    """A row a query and label."""
    return label_rows(task, given.examples)


DATASETS.add("label", DatasetKind("answers only", "[x; y], without any rationale.", make, length=0.1, reasons=False))
