"""Runs: what students wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.values.teacher import Token


class RunStatus(StrEnum):
    """The life of a run of a plan."""

    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"
    FINISHED = "finished"


@dataclass(frozen=True)
class Generation:
    """What a student wrote. `tokens` counts generated ids, the end-of-sequence token included.

    `finished`: it ended by itself, before the limit of tokens. `log_prob`: the mean log-prob of the tokens that hold
    its label (`engine.inference.labels`), `label_tokens` how many these are; None where it states none, or nobody kept
    it. `pieces` are all tokens with their log-probs, where they were asked for.
    """

    query_id: str
    text: str
    tokens: int
    finished: bool
    latency_s: float
    log_prob: float | None = None
    pieces: tuple[Token, ...] = ()
    label_tokens: int | None = None

    @property
    def label_log_prob(self) -> float | None:
        """The log-prob of the label: the sum over its tokens; None where one of both is not known."""
        return sum_log_prob(self.log_prob, self.label_tokens)


@dataclass(frozen=True)
class SecondDraw:
    """What a second, sampled answer of a student to a query took, at which temperature, and whether its label is the
    one of the greedy answer."""

    tokens: int
    latency_s: float | None
    temperature: float
    agrees: bool


@dataclass(frozen=True)
class EvalItem:
    """One answer of one system to one query, scored when a gold label exists.

    `cost`: US dollars that a provider billed for it; None where nobody did, or it is not known. `finished`, `log_prob`
    and `label_tokens` as of a `Generation`; None where not known, as of teachers. `agrees`: whether its label is the
    one that a teacher gave, by teacher; without those who gave none. `second`: the second draw; None: there is none, or
    nobody asked for it.
    """

    system: str
    query_id: str
    kind: str | None
    text: str
    label: str | None
    tokens: int
    latency_s: float | None
    correct: bool | None
    cost: float | None = None
    finished: bool | None = None
    log_prob: float | None = None
    agrees: Mapping[str, bool] = field(default_factory=dict)
    label_tokens: int | None = None
    second: SecondDraw | None = None

    @property
    def label_log_prob(self) -> float | None:
        """As of a `Generation`."""
        return sum_log_prob(self.log_prob, self.label_tokens)


def sum_log_prob(mean: float | None, tokens: int | None) -> float | None:
    """The sum over so many tokens of their mean log-prob; None where one of both is not known."""
    return None if mean is None or tokens is None else mean * tokens
