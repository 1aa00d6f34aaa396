"""TinyLLM (Tian et al. 2024, arXiv 2402.04616): a task for the label, and one a teacher for its rationales.

The pseudo-label stands where the original has gold answers.
"""

from __future__ import annotations

from engine.config import TrainConfig
from engine.datasets.two_tasks import PREDICT
from engine.errors import ConfigError
from engine.losses.sum_of_tasks import SUM_OF_TASKS
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Evaluate, Plan, Train
from engine.plans.twt import score_untrained

_NAME = "tinyllm"


def make(settings: PlanSettings) -> Plan:
    """The plan of an order: one stage, with the settings of its first, all weights 1.

    Raises:
        ConfigError: if another loss is ordered.
    """
    if settings.stages[0].loss != TrainConfig().loss:
        raise ConfigError(f"the loss of {_NAME} is its own; leave the other one out")
    train = settings.stages[0].model_copy(update={"loss": SUM_OF_TASKS})
    steps = (
        *score_untrained(4),
        Train(name=_NAME, dataset="teacher-tasks", train=train),
        Evaluate(name=f"evaluate-{_NAME}", start=_NAME, prompt=PREDICT),
    )
    return Plan(name=_NAME, student=settings.student, steps=steps)


PLANS.add(_NAME, PlanKind("TinyLLM", "Label, and each teacher's rationale as a task of its own.", make))
