"""Writing that goes on where it was cut off (worker only)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from engine.inference.writer import WriteRequest
from engine.inference.writers import AnswerWriter
from engine.values import Generation

_BATCHES = 8
"""Of so many batches is a part; it is what a kill costs at most."""


def read_ask(query_id: str, prompt: Sequence[Sequence[Any]]) -> WriteRequest:
    """A prompt as a line of a worker's file has it."""
    return WriteRequest(query_id, tuple((str(role), str(text)) for role, text in prompt))


def write_left(
    writer: AnswerWriter, asks: Sequence[WriteRequest], left: AbstractSet[str], stop: Callable[[], bool]
) -> Iterator[Generation]:
    """The answers to those queries of `asks` that are `left`; none after a part in which it was to `stop`.

    What is written beside a prompt decides how its sums are rounded, so prompts are written in parts that are the same
    at every start: one that was cut off is written again as a whole.
    """
    size = _BATCHES * writer.batch
    for part in (asks[begin : begin + size] for begin in range(0, len(asks), size)):
        if left.isdisjoint(ask.query_id for ask in part):
            continue
        yield from (generation for generation in writer.write(part) if generation.query_id in left)
        if stop():
            return
