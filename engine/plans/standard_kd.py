"""Standard KD, the paper's baseline: the labels of the selected samples, and nothing else."""

from __future__ import annotations

from engine.config import StudentConfig, TrainConfig
from engine.errors import ConfigError
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Evaluate, Plan, Train
from engine.plans.twt import score_untrained

_NAME = "standard-kd"
_EQUAL = "standard-kd-equal-updates"


def standard_kd_plan(student: StudentConfig, train: TrainConfig, shots: int = 4) -> Plan:
    """Standard KD alone, beside the untrained student."""
    steps = (*score_untrained(shots), Train(name=_NAME, dataset="label", train=train), _score(_NAME))
    return Plan(name=_NAME, student=student, steps=steps)


def with_standard_kd(plan: Plan) -> Plan:
    """A plan with Standard KD twice behind it: at the epochs of its last stage, and at the updates of all its stages.

    Raises:
        ConfigError: if the plan trains nothing.
    """
    if not plan.trained:
        raise ConfigError("the plan has no train step to compare with")
    label = plan.trained[-1].train
    steps = (
        *plan.steps,
        Train(name=_NAME, dataset="label", train=label),
        _score(_NAME),
        Train(name=_EQUAL, dataset="label", train=label, equal_updates_to=tuple(stage.name for stage in plan.trained)),
        _score(_EQUAL, reference=True),
    )
    return plan.model_copy(update={"name": f"{plan.name}+{_NAME}", "steps": steps})


def _score(name: str, reference: bool = False) -> Evaluate:
    return Evaluate(name=f"evaluate-{name}", start=name, role="baseline", reference=reference)


def make(settings: PlanSettings) -> Plan:
    """The plan of an order: the settings are those of its last stage."""
    return standard_kd_plan(settings.student, settings.stages[-1])


PLANS.add(
    _NAME,
    PlanKind(
        "Standard KD",
        "Labels alone, without any rationale.",
        make,
        systems={_NAME: "Standard KD", _EQUAL: "Standard KD, equal updates"},
    ),
)
