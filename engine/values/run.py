"""Runs: what students wrote."""

from __future__ import annotations

from dataclasses import dataclass
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

    `pieces` are these tokens with their log-probs, where they were asked for.
    """

    query_id: str
    text: str
    tokens: int
    finished: bool
    latency_s: float
    pieces: tuple[Token, ...] = ()


@dataclass(frozen=True)
class EvalItem:
    """One answer of one system to one query, scored when a gold label exists.

    `cost`: US dollars that a provider billed for it; None where nobody did, or it is not known.
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
