"""Names that no teacher can have: those under which students of registered plans answer."""

from __future__ import annotations

import pytest

from engine.config import TrainConfig
from engine.errors import ConfigError
from engine.plans import PLANS, Evaluate, Plan, PlanKind, Train
from engine.plans.order import PlanOrder, PlanSettings, read_order
from engine.plans.reserved import is_reserved


@pytest.mark.parametrize("name", PLANS.names())
@pytest.mark.parametrize("stages", ["", "9,40,1"])
def test_no_teacher_can_be_called_as_a_student_of_any_plan_is(name: str, stages: str) -> None:
    plan = PLANS.get(name).make(read_order(PlanOrder(plan=name, stages=stages), recorded=False))
    assert plan.evaluated and [step.system for step in plan.evaluated if not is_reserved(step.system)] == []


@pytest.mark.parametrize("name", ["student", "mixed", "mixed-reason", "tinyllm", "step-by-step", "stage12"])
def test_students_that_are_named_otherwise_than_stages_are_known(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["ann", "gpt-4o", "stagecraft-7b", "mixed-2", "mixtral", "Student"])
def test_other_names_are_free(name: str) -> None:
    assert not is_reserved(name)


def test_a_plan_of_another_package_reserves_the_names_of_its_students(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(settings: PlanSettings) -> Plan:
        steps = (Train(name="brewed", train=TrainConfig()), Evaluate(name="evaluate-brewed", start="brewed"))
        return Plan(name="tea", student=settings.student, steps=steps)

    def fail(settings: PlanSettings) -> Plan:
        raise ConfigError("name a pot")

    assert not is_reserved("brewed")
    both = {**PLANS._entries, "tea": PlanKind("Tea", "Tea.", make), "pot": PlanKind("Pot", "Pot.", fail)}
    monkeypatch.setattr(PLANS, "_entries", both)
    assert is_reserved("brewed") and is_reserved("mixed") and not is_reserved("pot")
