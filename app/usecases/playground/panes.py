"""Panes of the playground: one system's answer as it comes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from app.usecases.evaluation.comparisons import say_reply
from engine.errors import ErrorKind
from engine.ports import Task
from engine.values import Purpose, Query
from engine.values.run import sum_log_prob


@dataclass(frozen=True)
class Pane:
    """One system's answer so far. `tokens` are the student's own, or what a provider bills. `over`: nothing more comes.

    `whole`: it has said all that it had to say. `message` says why there is no answer, or not all of it. `label` is
    what it answered (None: not read yet, or not to be read), `right` whether that is right by the query's gold label.
    `log_prob`, `label_tokens`: of a student's answer that states a label, as of a `Generation`.
    """

    name: str
    text: str = ""
    tokens: int | None = None
    seconds: float | None = None
    cost: float | None = None
    over: bool = False
    whole: bool = False
    message: str = ""
    label: str | None = None
    right: bool | None = None
    log_prob: float | None = None
    label_tokens: int | None = None

    @property
    def confidence(self) -> float | None:
        """The geometric mean probability of the tokens that hold the label, as evaluations have it; None: not known."""
        return None if self.log_prob is None else math.exp(self.log_prob)

    @property
    def label_log_prob(self) -> float | None:
        """As of a `Generation`."""
        return sum_log_prob(self.log_prob, self.label_tokens)


def follow(pane: Pane, replies: Iterator[dict[str, Any]], said: str = "") -> Iterator[Pane]:
    """The pane of a student as its replies come; `said` is told where nothing else is."""
    for data in replies:
        cut = "" if data.get("finished", True) else "cut off at its limit of tokens"
        message = data.get("error", "") or " ".join(filter(None, [said, cut]))
        over, text = bool(data.get("over")), data.get("text", pane.text)
        pane = replace(pane, text=text, tokens=data.get("tokens"), seconds=data.get("seconds"), message=message)
        pane = replace(pane, over=over, whole=over and not data.get("error"))
        pane = replace(pane, log_prob=data.get("log_prob"), label_tokens=data.get("label_tokens"))
        yield pane


def read_attempt(pane: Pane, row: dict[str, Any], task: Task, query: Query) -> Pane:
    """The pane after one attempt; it is over unless the teacher is asked again after such a failure."""
    message = f"{row['error']}: {row['message']}" if row["error"] else ""
    if row["purpose"] != Purpose.PLAY or (row["error"] and ErrorKind(row["error"]).may_pass):
        return replace(pane, message=message)
    cost = None if row["cost"] is None else float(row["cost"])
    parsed = task.parse(query, row["raw"])
    text, tokens, seconds = say_reply(task, query, row["raw"]), row["output_tokens"], row["latency_s"]
    whole = row["error"] in (None, ErrorKind.UNPARSABLE, ErrorKind.NOT_A_CHOICE, ErrorKind.TRUNCATED)
    pane = replace(pane, text=text, tokens=tokens, seconds=seconds, cost=cost, message=message)
    pane = replace(pane, label=parsed.label if parsed else None)
    return replace(pane, over=True, whole=whole and bool(text))
