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
    its label (`engine.inference.labels`); None where it states none, or nobody kept it.
    `pieces` are these tokens with their log-probs, where they were asked for.
    """

    query_id: str
    text: str
    tokens: int
    finished: bool
    latency_s: float
    log_prob: float | None = None
    pieces: tuple[Token, ...] = ()


@dataclass(frozen=True)
class EvalItem:
    """One answer of one system to one query, scored when a gold label exists.

    `cost`: US dollars that a provider billed for it; None where nobody did, or it is not known. `finished` and
    `log_prob` as of a `Generation`; None where not known, as of teachers. `agrees`: whether its label is the one that a
    teacher gave, by teacher; without those who gave none.
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
