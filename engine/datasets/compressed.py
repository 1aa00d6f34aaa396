"""Compressed reasoning: G', the rationales as a compress step rewrote them (TwT, stage 2)."""

from __future__ import annotations

from dataclasses import replace

from engine.datasets.base import DATASETS, DatasetKind, Materials
from engine.datasets.full import FULL, rationale_rows
from engine.ports import Task
from engine.values import StageRow


def make(task: Task, given: Materials) -> list[StageRow]:
    """Rows [x; r^T; y] of the selected samples that have a rewritten rationale."""
    pairs = [(example, given.compressed.get(example.sample_id or "")) for example in given.examples]
    return rationale_rows(task, [replace(e, rationale=text[0], flags=text[1]) for e, text in pairs if text is not None])


DATASETS.add(
    "compressed",
    DatasetKind("compressed reasoning", "[x; r'; y] with rewritten rationales.", make, length=0.5, stand_in=FULL),
)
