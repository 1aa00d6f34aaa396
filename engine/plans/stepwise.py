"""Stepwise internalisation (Deng et al. 2024, arXiv 2405.14838, section 3): rationales taken away from the left.

One adapter learns whole rationales, then ever shorter ends of them, then answers alone. Each stage has a fresh
optimizer: the original resets its own at each removal (section 3, "Stabilizing Training").
"""

from __future__ import annotations

from engine.config import TrainConfig
from engine.datasets.stepwise import STEPS, name_without
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import AnyStep, Plan, Train
from engine.plans.twt import score, score_untrained

_NAME = "stepwise"
_AN_EPOCH = 2
"""Removals in an epoch of the middle stage's, at most as many as there are datasets for."""


def count_removals(train: TrainConfig) -> int:
    """How many times something is taken away within the order's second stage: every half epoch, 8 times at most.

    Never more often than there are updates.
    """
    wanted = round(_AN_EPOCH * train.epochs)
    return max(1, min(wanted, STEPS - 2, train.updates or wanted))


def share_out(train: TrainConfig, stages: int) -> list[TrainConfig]:
    """The settings of each of some stages that together take as many epochs, or updates, as one with `train`."""
    if train.updates is None:
        return [train.model_copy(update={"epochs": train.epochs / stages})] * stages
    whole, more = divmod(train.updates, stages)
    return [train.model_copy(update={"updates": whole + (place < more)}) for place in range(stages)]


def make(settings: PlanSettings) -> Plan:
    """The plan of an order: its first stage teaches whole rationales, its second is shared out among the removals.

    So it takes as many updates as TwT with the same settings. k removals leave out 1/(k+1), 2/(k+1), ... of the words,
    to a tenth; the third stage teaches answers without any rationale.
    """
    full, short, bare = settings.stages
    steps: list[AnyStep] = [*score_untrained(4), Train(name="stage1", dataset="full", train=full), score("stage1")]
    last, removals = "stage1", count_removals(short)
    for number, train in enumerate(share_out(short, removals), 1):
        name = f"stage{number + 1}"
        left_out = round(STEPS * number / (removals + 1))
        steps.append(Train(name=name, start=last, dataset=name_without(left_out), train=train))
        last = name
    name = f"stage{removals + 2}"
    steps += [Train(name=name, start=last, dataset="label", train=bare), score(name)]
    return Plan(name=_NAME, student=settings.student, steps=tuple(steps))


PLANS.add(_NAME, PlanKind("Stepwise internalisation", "Rationales taken away from the left (Deng et al. 2024).", make))
