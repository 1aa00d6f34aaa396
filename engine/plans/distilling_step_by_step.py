"""Distilling Step-by-Step (Hsieh et al. 2023, arXiv 2305.02301): label and rationale as two prefixed tasks.

Scored with the label's prefix, and apart with the rationale's: the paper's 129 to 397 tokens are those of the latter.
"""

from __future__ import annotations

from engine.config import TrainConfig
from engine.datasets.two_tasks import EXPLAIN, PREDICT
from engine.errors import ConfigError
from engine.losses.half_and_half import HALF_AND_HALF
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Evaluate, Plan, Train
from engine.plans.twt import score_untrained

_PLAN, _NAME = "distilling-step-by-step", "step-by-step"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order: one stage, with the settings of its first, alpha .5.

    Raises:
        ConfigError: if another loss is ordered.
    """
    if settings.stages[0].loss != TrainConfig().loss:
        raise ConfigError(f"the loss of {_NAME} is its own; leave the other one out")
    train = settings.stages[0].model_copy(update={"loss": HALF_AND_HALF})
    steps = (
        *score_untrained(4),
        Train(name=_NAME, dataset="two-tasks", train=train),
        Evaluate(name=f"evaluate-{_NAME}", start=_NAME, prompt=PREDICT),
        Evaluate(name=f"evaluate-{_NAME}-{EXPLAIN}", start=_NAME, prompt=EXPLAIN, alias=f"{_NAME}-{EXPLAIN}"),
    )
    return Plan(name=_PLAN, student=settings.student, steps=steps)


PLANS.add(_PLAN, PlanKind("Distilling Step-by-Step", "Label and rationale as two tasks.", make))
