"""Plans of one stage: the untrained student, one training, and how its student is scored."""

from __future__ import annotations

from engine.config import TrainConfig
from engine.errors import ConfigError
from engine.plans.order import PlanSettings
from engine.plans.steps import Evaluate, Plan, Train
from engine.plans.twt import score_untrained


def one_stage_plan(
    name: str, dataset: str, settings: PlanSettings, *scored: Evaluate, loss: str | None = None, shots: int = 4
) -> Plan:
    """A plan whose stage has the settings of the order's first, and the name that the scored steps start from.

    `loss`: the plan's own, in place of which no other can be ordered.

    Raises:
        ConfigError: if another loss is ordered.
    """
    train = settings.stages[0]
    if loss is not None:
        if train.loss != TrainConfig().loss:
            raise ConfigError(f"the loss of {name} is its own; leave the other one out")
        train = train.model_copy(update={"loss": loss})
    stage = Train(name=str(scored[0].start), dataset=dataset, train=train)
    return Plan(name=name, student=settings.student, steps=(*score_untrained(shots), stage, *scored))
