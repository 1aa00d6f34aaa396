"""Rationales without their first part, to be taken away step by step (Deng et al. 2024, arXiv 2405.14838, section 3).

The original takes so many tokens off every rationale, the same number for all; here a share of each one's own words,
since rows are made without a tokenizer, so that all rationales are gone at the same time. Removal smoothing is theirs:
o words more are taken off, with probability (1 - exp(-lambda)) exp(-lambda o), lambda 4; drawn by the sample's id and
the share, so it is the same whatever the seed and the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import regex

from engine.datasets.base import DATASETS, DatasetKind, Materials
from engine.datasets.full import rationale_rows
from engine.ports import Task
from engine.values import StageRow, hash_id

STEPS = 10
"""Shares are counted in so many parts of a rationale."""
SMOOTHING = 4.0
"""lambda of the original's experiments."""
_WORD = regex.compile(r"\S+\s*")


def name_without(tenths: int) -> str:
    """The dataset whose rationales lack so many tenths of their words, 1 to 9."""
    return f"without-first-{tenths * 100 // STEPS}"


def draw_offset(key: str) -> int:
    """How many words more are taken off: geometric, drawn by a hash of the key."""
    uniform = int(hash_id("removal", key)[:13], 16) / 16**13
    return int(-math.log1p(-uniform) / SMOOTHING)


def remove_first(rationale: str, share: float, key: str) -> str:
    """A rationale without a share of its words, rounded down, and the offset that its key draws, from the left."""
    words = _WORD.findall(rationale.strip())
    return "".join(words[int(share * len(words) + 1e-9) + draw_offset(key) :])


def _make(tenths: int) -> Callable[[Task, Materials], list[StageRow]]:
    def make(task: Task, given: Materials) -> list[StageRow]:
        """A row a selected sample, in an order of this share's own: a stage of half an epoch sees other rows."""
        share = tenths / STEPS
        left = [
            replace(e, rationale=remove_first(e.rationale, share, f"{e.sample_id or e.query.id} {tenths}"))
            for e in given.examples
        ]
        return sorted(rationale_rows(task, left), key=lambda row: row.id)

    return make


for _tenths in range(1, STEPS):
    _left = f"[x; r'; y], r' the rationale without the first {100 * _tenths // STEPS}% of its words."
    DATASETS.add(
        name_without(_tenths),
        DatasetKind(
            f"reasoning without its first {100 * _tenths // STEPS}%", _left, _make(_tenths), length=1 - _tenths / STEPS
        ),
    )
