"""The second draw: an answer that is sampled beside the greedy one, to see whether both state the same label.

A label that further draws state too is more often right: self-consistency (Wang et al. 2023, "Self-Consistency Improves
Chain of Thought Reasoning in Language Models", arXiv 2203.11171). In cascades, where disagreeing draws send a query on
to a stronger model: Yue et al. 2024, "Large Language Model Cascades with Mixture of Thoughts Representations for
Cost-efficient Reasoning" (arXiv 2310.03094).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from engine.ports import Task
from engine.values import Query, hash_id

TEMPERATURE = 0.7
"""Of second draws, where nobody says otherwise."""
HOTTEST = 2.0
_SEEDS = 2**31


def seed_of(prompt: tuple[tuple[str, str], ...]) -> int:
    """What the second draw of a prompt is sampled with, in [0, 2^31): it repeats, whatever is written beside it."""
    return int(hash_id("second draw", [list(turn) for turn in prompt]), 16) % _SEEDS


def same_label(task: Task, query: Query, first: str | None, second: str | None) -> bool:
    """Whether two answers state the same label, by its key; one that states none agrees with nothing."""
    if first is None or second is None:
        return False
    return (task.normalise(query, first) or first) == (task.normalise(query, second) or second)


def as_line(query: Query, prompt: Sequence[Sequence[str]], text: str) -> dict[str, Any]:
    """A query as a line of a worker's file, with the prompt and the text of the greedy answer."""
    return {"query": asdict(query), "prompt": [list(turn) for turn in prompt], "text": text}
