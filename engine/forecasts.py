"""What a plan will take: time, memory and rows that are too long, reckoned from a few updates and words measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.datasets import DATASETS
from engine.plans import Answer, Evaluate, Plan, Train

CHARACTERS = 3
"""Of a token, about: where texts are reckoned with and no tokenizer is at hand."""
UNTRAINED = "untrained"
"""Stands among the datasets for a student that learned none."""
_LENGTH_UNTRAINED = 1.5
_WRITES_LOW = 0.5


@dataclass(frozen=True)
class StageForecast:
    """What a train step will do. `guessed`: its rows are not known yet, so others stand in for them."""

    name: str
    rows: int
    updates: int
    longest: int
    dropped: int
    seconds: float
    guessed: bool


@dataclass(frozen=True)
class Forecast:
    """What a plan will take, measured on the device. Time in seconds, memory in bytes.

    `writing_low` and `writing_high` bound the time of student answers and evaluations: nobody knows yet how much the
    student will write. `too_long` names rows that will be left out.
    """

    device: str
    dtype: str
    stages: list[StageForecast]
    training_s: float
    writing_low: float
    writing_high: float
    peak_bytes: int
    too_long: list[dict[str, Any]]


def guess_length(dataset: str) -> float:
    """How long an answer is against the middling rationale, by what its student learned last (`UNTRAINED`: nothing)."""
    return _LENGTH_UNTRAINED if dataset == UNTRAINED else DATASETS.get(dataset).length


class PlannedWriting(NamedTuple):
    """What the student writes: prompts of an answer step, held-out queries, tokens of a middling rationale."""

    asked: int
    heldout: int
    rationale: float


def reckon(plan: Plan, measured: Mapping[str, Any], written: PlannedWriting) -> Forecast:
    """The forecast of a plan from what a worker measured (`engine.jobs.forecast`)."""
    datasets = {step["name"]: step for step in measured["steps"]}
    speed = measured["train_tokens_per_second"]
    stages: dict[str, StageForecast] = {}
    for step in plan.trained:
        equal = sum(stages[name].updates for name in step.equal_updates_to)
        stages[step.name] = _reckon_stage(step, datasets, speed, equal)
    high = sum(n * length for n, length in _count_prompts(plan, written)) / (measured["write_tokens_per_second"] or 1.0)
    return Forecast(
        device=measured["device"],
        dtype=measured["dtype"],
        stages=list(stages.values()),
        training_s=sum(stage.seconds for stage in stages.values()),
        writing_low=high * _WRITES_LOW,
        writing_high=high,
        peak_bytes=measured["peak_bytes"],
        too_long=[row for step in measured["steps"] for row in step["too_long"]],
    )


def _count_prompts(plan: Plan, written: PlannedWriting) -> list[tuple[int, float]]:
    """How many prompts each answering step has, and how many tokens its answers may take."""
    taught = {step.name: guess_length(step.dataset) for step in plan.trained}
    counts = []
    for step in plan.steps:
        if isinstance(step, (Answer, Evaluate)):
            share = taught.get(step.start or "", _LENGTH_UNTRAINED)
            length = min(plan.student.generate_tokens, written.rationale * share)
            counts.append((written.heldout if isinstance(step, Evaluate) else written.asked, length))
    return counts


def _reckon_stage(step: Train, measured: Mapping[str, Any], speed: float, equal: int) -> StageForecast:
    stand_in = DATASETS.get(step.dataset).stand_in
    rows = measured.get(step.dataset) or measured.get(stand_in) or next(iter(measured.values()))
    train = step.train
    per_update = train.batch_size * rows["tokens"] / rows["rows"]
    by_tokens = round(train.tokens / per_update) if train.tokens else 0
    by_epochs = math.ceil(train.epochs * rows["rows"] * (1 - train.validation) / train.batch_size)
    updates = max(1, equal or by_tokens or train.updates or by_epochs)
    tokens = updates * per_update
    return StageForecast(
        name=step.name,
        rows=rows["rows"],
        updates=updates,
        longest=rows["longest"],
        dropped=rows["dropped"],
        seconds=tokens / speed,
        guessed=step.dataset not in measured,
    )


def find_measured(plan: Plan) -> dict[str, Train]:
    """A train step for each dataset whose rows are known before the run; others go by those that stand in for them."""
    known = {step.dataset: step for step in reversed(plan.trained) if not DATASETS.get(step.dataset).needs_compress}
    for step in plan.trained:
        known.setdefault(DATASETS.get(step.dataset).stand_in or step.dataset, step)
    return known
