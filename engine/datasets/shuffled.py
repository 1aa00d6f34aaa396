"""Answer first with the rationale of another query: the control of answer-first.

What a student gains from these rows it did not gain from a rationale that belongs to the query (Wadhwa et al. 2024,
arXiv 2406.14511, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.datasets.answer_first import answer_first_row
from engine.datasets.base import DATASETS, DatasetKind, Materials
from engine.datasets.rows import Example
from engine.ports import Task
from engine.values import StageRow, hash_id


def swap_rationales(examples: Sequence[Example]) -> list[tuple[Example, str]]:
    """Each example with the rationale of another query of its kind, of any kind where its own has no other query.

    By hash, whatever the order of the examples; those of a set that has but one query are left out.
    """
    ranked = sorted(examples, key=lambda example: hash_id("shuffled", example.sample_id, example.query.id))
    found = []
    for place, example in enumerate(ranked):
        behind = [*ranked[place + 1 :], *ranked[:place]]
        others = [other for other in behind if other.query.id != example.query.id]
        alike = [other for other in others if other.query.kind == example.query.kind]
        if others:
            found.append((example, (alike or others)[0].rationale))
    return found


def make(task: Task, given: Materials) -> list[StageRow]:
    """A row a selected sample."""
    return [answer_first_row(task, example, rationale) for example, rationale in swap_rationales(given.examples)]


DATASETS.add(
    "shuffled",
    DatasetKind("answer, then another's reasoning", "[x; y; r'], r' of another query of the kind.", make, length=0.1),
)
