"""The mean log-probability of a label's tokens, the evidence of log-probability selection (TwT, Table 4)."""

from __future__ import annotations

import re
from itertools import accumulate

from engine.ports import Task
from engine.tasks.label_place import find_label
from engine.values import Query, Reply

_THINK = re.compile(r"</?think>", re.IGNORECASE)


def score_label(task: Task, query: Query, reply: Reply, label: str) -> float | None:
    """Mean log-prob in nats of the tokens that hold a part of a reply's label.

    None where no tokens came, where they don't spell the reply, or where it is not clear which of them are the label's.
    """
    if not reply.tokens:
        return None
    *_, last = [None, *_THINK.finditer(reply.text)]
    said = reply.text[last.end() if last else 0 :].strip()
    begin = "".join(token.text for token in reply.tokens).rfind(said)
    place = find_label(task, query, said, label)
    if begin < 0 or place is None:
        return None
    start, end = begin + place.start, begin + place.end
    ends = list(accumulate(len(token.text) for token in reply.tokens))
    # A token that completes no character is the beginning of the next one's.
    own = [
        token.logprob
        for token, stop in zip(reply.tokens, ends, strict=True)
        if stop - len(token.text) < end and (stop > start or (not token.text and stop == start))
    ]
    return sum(own) / len(own) if own else None
