"""Answer first with the rationale of another query: the control of answer-first.

What a student gains from these rows it did not gain from a rationale that belongs to the query (Wadhwa et al. 2024,
arXiv 2406.14511, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice

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
    alike: dict[str | None, list[Example]] = {}
    for example in ranked:
        alike.setdefault(example.query.kind, []).append(example)
    swapped = []
    for members in alike.values():
        for place, example in enumerate(members):
            other = _find_other(members, place) or _find_other([example, *ranked], 0)
            if other is not None:
                swapped.append((example, other.rationale))
    return swapped


def _find_other(examples: Sequence[Example], place: int) -> Example | None:
    """The next example behind a place, around the end, that is of another query."""
    own = examples[place].query.id
    behind = chain(islice(examples, place + 1, None), islice(examples, place))
    return next((example for example in behind if example.query.id != own), None)


def make(task: Task, given: Materials) -> list[StageRow]:
    """A row a selected sample."""
    return [answer_first_row(task, example, rationale) for example, rationale in swap_rationales(given.examples)]


DATASETS.add(
    "shuffled",
    DatasetKind("answer, then another's reasoning", "[x; y; r'], r' of another query of the kind.", make, length=0.1),
)
