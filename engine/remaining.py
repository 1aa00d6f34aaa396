"""How long the rest of a run will take: by its own pace so far; a step that has none yet goes by that of the others."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from engine.forecasts import CHARACTERS, UNTRAINED, Forecast
from engine.plans import Answer, AnyStep, Compress, Evaluate, Plan, Review, Train

_READING = 0.1
"""What reading a character costs against writing one."""


@dataclass(frozen=True)
class Left:
    """Seconds that are left of a run. `open`: compressing comes on top, which nobody can tell the time of yet."""

    seconds: float
    open: bool


@dataclass(frozen=True)
class Sizes:
    """Of a run's material: rows and characters a row by dataset, characters of an answer by what was taught, queries.

    asked: those that the student answers with its own rationales. heldout: those it is scored on.
    """

    rows: Mapping[str, int]
    characters: Mapping[str, float]
    written: Mapping[str, float]
    asked: int
    heldout: int
    prompt: float


@dataclass(frozen=True)
class Done:
    """What a run has done so far: seconds an update and a prompt by step, and how far each step is."""

    gaps: Mapping[str, float]
    most: Mapping[str, int]
    updates: Mapping[str, int]
    answers: Mapping[str, int]
    latencies: Mapping[str, float]


def estimate_left(
    plan: Plan,
    finished: Collection[str],
    sizes: Sizes,
    done: Done,
    compressing: Mapping[str, float | None],
    forecast: Forecast | None = None,
) -> Left | None:
    """What is left of a run; None where neither its own pace nor a forecast is known yet.

    `compressing` has the seconds that each compress step still takes, None where nobody can tell.
    """
    known = _spread(plan, forecast, sizes) if forecast else {}
    seconds, open_ = 0.0, False
    for step in plan.steps:
        if step.name in finished or isinstance(step, Review):
            continue
        if isinstance(step, Compress):
            took = compressing.get(step.name)
            open_ = open_ or took is None
            seconds += took or 0.0
            continue
        whole = _train(plan, step, sizes, done) if isinstance(step, Train) else _write(plan, step, sizes, done)
        whole = known.get(step.name) if whole is None else whole
        if whole is None:
            return None
        seconds += whole * _share_left(plan, step, sizes, done)
    return Left(seconds, open_)


def _spread(plan: Plan, forecast: Forecast, sizes: Sizes) -> dict[str, float]:
    """Seconds by step as they were forecast; the time of writing is spread by what each step writes."""
    units = {s.name: _prompt_units(plan, s, sizes) for s in plan.steps if isinstance(s, (Answer, Evaluate))}
    a_unit = (forecast.writing_low + forecast.writing_high) / 2 / max(1.0, sum(units.values()))
    return {stage.name: stage.seconds for stage in forecast.stages} | {n: u * a_unit for n, u in units.items()}


def _train(plan: Plan, step: Train, sizes: Sizes, done: Done) -> float | None:
    """Seconds of a whole train step: at its own pace, else at that of the run's others by the length of their rows."""
    updates = _count_updates(plan, step, sizes, done)
    if step.name in done.gaps:
        return done.gaps[step.name] * updates
    seen = [(done.gaps[s.name], _update_units(s, sizes)) for s in plan.trained if s.name in done.gaps]
    if not seen:
        return None
    return sum(gap for gap, _ in seen) / sum(units for _, units in seen) * _update_units(step, sizes) * updates


def _update_units(step: Train, sizes: Sizes) -> float:
    return step.train.batch_size * max(1.0, sizes.characters[step.dataset])


def _count_updates(plan: Plan, step: Train, sizes: Sizes, done: Done) -> int:
    if step.name in done.most:
        return done.most[step.name]
    if step.equal_updates_to:
        return sum(_count_updates(plan, s, sizes, done) for s in plan.trained if s.name in step.equal_updates_to)
    rows = sizes.rows[step.dataset] + sum(source.share * sizes.rows[source.dataset] for source in step.replay)
    train = step.train
    if train.tokens:
        return max(1, round(train.tokens * CHARACTERS / _update_units(step, sizes)))
    return train.updates or math.ceil(train.epochs * rows * (1 - train.validation) / train.batch_size)


def _write(plan: Plan, step: Answer | Evaluate, sizes: Sizes, done: Done) -> float | None:
    """Seconds of a whole step of writing: at its own pace, else at that of the others by what is to be written."""
    prompts = sizes.asked if isinstance(step, Answer) else sizes.heldout
    if step.name in done.latencies:
        return done.latencies[step.name] * prompts
    seen = [
        (other, done.latencies[other.name])
        for other in plan.steps
        if isinstance(other, (Answer, Evaluate)) and other.name in done.latencies
    ]
    alike = [took for other, took in seen if _taught(plan, other) == _taught(plan, step)]
    if alike:
        return sum(alike) / len(alike) * prompts
    units = sum(_answer_units(plan, other, sizes) for other, _ in seen)
    return sum(took for _, took in seen) / units * _prompt_units(plan, step, sizes) if seen else None


def _prompt_units(plan: Plan, step: Answer | Evaluate, sizes: Sizes) -> float:
    return _answer_units(plan, step, sizes) * (sizes.asked if isinstance(step, Answer) else sizes.heldout)


def _answer_units(plan: Plan, step: Answer | Evaluate, sizes: Sizes) -> float:
    """What an answer takes, in characters written."""
    shots = step.shots if isinstance(step, Evaluate) else 0
    return sizes.written[_taught(plan, step)] + _READING * sizes.prompt * (1 + shots) + 1


def _taught(plan: Plan, step: AnyStep) -> str:
    """What the student of a step was taught last."""
    start = getattr(step, "start", None)
    return next((other.dataset for other in plan.trained if other.name == start), UNTRAINED)


def _share_left(plan: Plan, step: Train | Answer | Evaluate, sizes: Sizes, done: Done) -> float:
    if isinstance(step, Train):
        made, of = done.updates.get(step.name, 0), _count_updates(plan, step, sizes, done)
    else:
        made, of = done.answers.get(step.name, 0), sizes.asked if isinstance(step, Answer) else sizes.heldout
    return 1 - min(made, of) / of if of else 0.0
