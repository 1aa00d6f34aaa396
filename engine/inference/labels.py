"""Where a written text states its label, and which of its tokens hold it.

Knows tokenizers only by `decode`, so it needs no torch.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.tasks.base import ANSWER

_MARK = ANSWER.strip()
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What tokenizers show of a character whose last token is still to come."""
Decode = Callable[[Sequence[int]], str]


class LabelLogProb(NamedTuple):
    """The mean log-prob of the tokens that hold a label, and how many these are: their product is the label's own."""

    mean: float
    tokens: int


def find_label(text: str) -> tuple[int, int] | None:
    """The characters of the label: what follows the last `Answer:` up to the end of its line, white space apart.

    Where nothing follows on that line, all that stands behind it. None where there is no such line, or nothing behind.
    """
    head, mark, behind = text.rpartition(_MARK)
    if not mark or not behind.strip():
        return None
    first_line = behind.partition("\n")[0]
    label = (first_line if first_line.strip() else behind).rstrip()
    return len(head) + len(mark) + len(label) - len(label.lstrip()), len(head) + len(mark) + len(label)


def find_tokens(decode: Decode, ids: Sequence[int], begin: int, end: int) -> range:
    """The tokens that hold some of the characters from `begin` to `end` of the text that `ids` decode to.

    A character that several tokens spell is held by all of them: before the last it is not there yet.
    """
    places = range(len(ids))

    def count(place: int) -> int:
        """Characters of the text up to the end of a token; texts of the first tokens only ever grow."""
        return len(decode(ids[: place + 1]).rstrip(_UNFINISHED))

    return range(bisect_right(places, begin, key=count), min(bisect_left(places, end, key=count) + 1, len(ids)))


def find_log_prob(decode: Decode, ids: Sequence[int], log_probs: Sequence[float]) -> LabelLogProb | None:
    """What the tokens that hold the label have of log-prob; None where no label is stated, or it is not known."""
    span = find_label(decode(ids)) if len(log_probs) >= len(ids) else None
    if span is None:
        return None
    known = [log_probs[place] for place in find_tokens(decode, ids, *span)]
    mean = math.fsum(known) / len(known) if known else math.nan
    return LabelLogProb(mean, len(known)) if math.isfinite(mean) else None
